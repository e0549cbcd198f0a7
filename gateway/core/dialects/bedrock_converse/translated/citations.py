"""What a text cites, in Bedrock's form (botocore, `Citation` and `CitationsDelta`), both ways."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...canonical.sources import MOST_CITED, Citation

_Raw = msgspec.Raw


class _Web(msgspec.Struct):
    url: str = ""


class _InDocument(msgspec.Struct):
    documentIndex: int | None = None  # noqa: N815  # Amazon's spelling, here and below


class _Location(msgspec.Struct):
    """Where it is: a page of the web, or a place in a document of the request."""

    web: _Web | None = None
    documentChar: _InDocument | None = None  # noqa: N815
    documentPage: _InDocument | None = None  # noqa: N815
    documentChunk: _InDocument | None = None  # noqa: N815


class _Content(msgspec.Struct):
    text: str = ""


class _Citation(msgspec.Struct):
    title: str | None = None
    source: str | None = None
    sourceContent: list[_Content] | None = None  # noqa: N815
    location: _Location | None = None


_CITATION: Final = msgspec.json.Decoder(_Citation)
_LIST: Final = msgspec.json.Decoder(list[_Raw])
_PAGES: Final = ("http://", "https://")


def read_citation(raw: _Raw) -> Citation | None:
    """Return a citation; None for what is none. It is one of all of its text."""
    try:
        found = _CITATION.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    place = found.location or _Location()
    # The source of a search result that the caller has given is an address, mostly.
    source = found.source or ""
    url = place.web.url if place.web is not None else ""
    inside = place.documentChar or place.documentPage or place.documentChunk
    return Citation(
        url=url or (source if source.startswith(_PAGES) else ""),
        title=found.title or "",
        quoted="".join(each.text for each in found.sourceContent or ()),
        document=None if inside is None else inside.documentIndex,
        native=raw,
    )


def read_citations(raw: _Raw) -> list[Citation]:
    """Return the citations of a block; none for what is no list."""
    try:
        found = [read_citation(each) for each in _LIST.decode(raw)[:MOST_CITED]]
    except (msgspec.DecodeError, RecursionError):
        return []
    return [each for each in found if each is not None]


def written_citation(citation: Citation) -> dict[str, Any] | None:
    """Return a citation of a page or of a document of the request; None for any other."""
    if citation.url:
        location: dict[str, Any] = {"web": {"url": citation.url}}
    elif citation.document is not None:
        # Where in it is not told by all: `start` and `end` are those of the answer's text.
        location = {"documentChar": {"documentIndex": citation.document}}
    else:
        return None
    found: dict[str, Any] = {"location": location}
    if citation.title:
        found["title"] = citation.title
    if citation.quoted:
        found["sourceContent"] = [{"text": citation.quoted}]
    return found
