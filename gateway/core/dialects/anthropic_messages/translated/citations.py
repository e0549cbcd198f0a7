"""What a text cites, in Anthropic's form (its SDK's `types/citations_delta.py`), both ways."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...canonical.opaque import tagged, untagged
from ...canonical.sources import MOST_CITED, Citation
from .block_writer import FAMILY

_Raw = msgspec.Raw


class _Location(msgspec.Struct):
    """What is read of a location of any type."""

    type: str = ""
    url: str | None = None
    title: str | None = None
    source: str | None = None
    cited_text: str | None = None
    document_title: str | None = None
    document_index: int | None = None
    file_id: str | None = None
    encrypted_index: str | None = None


_LOCATION: Final = msgspec.json.Decoder(_Location)
_LIST: Final = msgspec.json.Decoder(list[_Raw])


def read_citation(raw: _Raw) -> Citation | None:
    """Return a citation; None for what is none."""
    try:
        found = _LOCATION.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    family, _ = untagged(found.encrypted_index or "")
    # The source of a search result that the caller has given is an address, mostly.
    return Citation(
        url=found.url or found.source or "",
        title=found.title or found.document_title or "",
        quoted=found.cited_text or "",
        document=found.document_index,
        file_id=found.file_id,
        native=raw,
        family=family or FAMILY,
    )


def read_citations(raw: _Raw) -> list[Citation]:
    """Return the citations of a text block; none for what is no list."""
    try:
        found = [read_citation(each) for each in _LIST.decode(raw)[:MOST_CITED]]
    except (msgspec.DecodeError, RecursionError):
        return []
    return [each for each in found if each is not None]


def written_citation(citation: Citation, family: str) -> dict[str, Any] | None:
    """Return the citation of a page; None for one of a document, which has another form here.

    What points into the provider's index is not there; the tag says that it never was.
    """
    if not citation.url:
        return None
    return {
        "type": "web_search_result_location",
        "cited_text": citation.quoted,
        "encrypted_index": tagged(family, ""),
        "title": citation.title or None,
        "url": citation.url,
    }
