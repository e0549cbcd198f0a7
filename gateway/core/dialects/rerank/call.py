"""A request for ranks in canonical form, and what a document of it came to."""

from __future__ import annotations

from typing import Literal

import msgspec

Raw = msgspec.Raw


class RankCall(msgspec.Struct):
    """`documents` are texts, of which the `top` best are wanted, None: all of them.

    `shown` says that the answer has the documents as well, and `holder` under which name its ranks
    stand: Voyage has another one. `most_tokens` is how much of each document is looked at.
    """

    query: str
    documents: list[str]
    top: Raw | None = None
    shown: bool = False
    holder: Literal["results", "data"] = "results"
    most_tokens: Raw | None = None


class Rank(msgspec.Struct):
    """A document by its number in the request, and its score."""

    index: int
    relevance_score: Raw
