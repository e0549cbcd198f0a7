"""Where an answer is from: what a web search has found, and what a text cites."""

from __future__ import annotations

from typing import Final

import msgspec

Raw = msgspec.Raw
# More than any text cites; each is compared with those before it.
MOST_CITED: Final = 256


class FoundPage(msgspec.Struct, gc=False):
    """A page that a search has found. `age` is how old it is, in the provider's words."""

    url: str
    title: str = ""
    age: str | None = None


class Citation(msgspec.Struct, gc=False):
    """What a text, or the part of it from `start` to `end`, is from. Both count characters.

    A page has a `url`; a document of the request has its number there, `document`, or an id.
    `quoted` is what it says there. `native` is the citation as its provider wrote it, in the API of
    that `family`.
    """

    url: str = ""
    title: str = ""
    start: int | None = None
    end: int | None = None
    quoted: str = ""
    document: int | None = None
    file_id: str | None = None
    native: Raw | None = None
    family: str = ""
