"""An answer of rerank: errors in it, its usage, and its model's name."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...records.usage import Usage
from ...wire.splice import InvalidJSON, members
from ..base import Answer
from ..openai_numbers.answer import rewrite_numbers

# Cohere, Jina and vLLM; Voyage.
_HOLDERS: Final = ("results", "data")
_DECODER: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
# More than any request has, as documents are cut into pieces of 500 tokens.
_MOST: Final = 2**31


def rewrite_ranks(body: bytes, model: bytes) -> Answer:
    """Return `body` under the requested name `model` (JSON). Raises NotAnAnswer."""
    try:
        names = {each.key for each in members(body)}
    except InvalidJSON:
        names = set()
    holder = next((each for each in _HOLDERS if each in names), _HOLDERS[0])
    answer = rewrite_numbers(body, model, holder)
    if answer.usage is not None:
        return answer
    return msgspec.structs.replace(answer, usage=_billed(body))


def _billed(body: bytes) -> Usage | None:
    """Return what Cohere has billed; None if the answer does not say.

    docs.cohere.com/reference/rerank: `meta.billed_units.search_units`, of up to 100 documents each.
    """
    try:
        meta = msgspec.json.decode(_DECODER.decode(body).get("meta", b"null"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    billed: Any = meta.get("billed_units") if isinstance(meta, dict) else None
    units = billed.get("search_units") if isinstance(billed, dict) else None
    if isinstance(units, bool) or not isinstance(units, int | float) or not 0 < units < _MOST:
        return None
    return Usage(search_units=round(units))
