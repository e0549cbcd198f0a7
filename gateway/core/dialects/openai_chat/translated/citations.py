"""What the text of a chat cites: OpenAI's annotations, and the lists of servers that search.

OpenAI and OpenRouter: `annotations` of the message or of a delta, each with its place in the text.
Perplexity: `search_results` of the chunk; xAI as well as Perplexity: `citations`, the addresses
alone. The text has their numbers in brackets.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...canonical.sources import MOST_CITED, Citation

_Found = msgspec.Raw | msgspec.UnsetType


class _UrlCitation(msgspec.Struct):
    url: str = ""
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None
    content: str | None = None


class _Annotation(msgspec.Struct):
    type: str = ""
    url_citation: _UrlCitation | None = None


class _Page(msgspec.Struct):
    url: str = ""
    title: str | None = None


_ANNOTATIONS: Final = msgspec.json.Decoder(list[_Annotation])
_PAGES: Final = msgspec.json.Decoder(list[_Page])
_URLS: Final = msgspec.json.Decoder(list[str])


def read_annotations(raw: _Found) -> list[Citation]:
    """Return the pages that are cited; none for what is no list of them."""
    if isinstance(raw, msgspec.UnsetType):
        return []
    try:
        found = _ANNOTATIONS.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return []
    return [
        Citation(
            url=each.url,
            title=each.title or "",
            start=each.start_index,
            end=each.end_index,
            quoted=each.content or "",
        )
        for each in (annotation.url_citation for annotation in found)
        if each is not None and each.url
    ]


def cited_pages(results: _Found, addresses: _Found) -> list[Citation]:
    """Return the pages that a server says its text is from, without saying which part of it."""
    if not isinstance(results, msgspec.UnsetType):
        try:
            pages = _PAGES.decode(results)
        except (msgspec.DecodeError, RecursionError):
            pages = []
        if found := [Citation(each.url, each.title or "") for each in pages if each.url]:
            return found[:MOST_CITED]
    if isinstance(addresses, msgspec.UnsetType):
        return []
    try:
        return [Citation(each) for each in _URLS.decode(addresses) if each][:MOST_CITED]
    except (msgspec.DecodeError, RecursionError):
        return []


def written_annotation(citation: Citation, begins: int, size: int) -> dict[str, Any] | None:
    """Return a citation of a text that is `size` long and `begins` so far into the content.

    None for one of a document: annotations of chats have pages only.
    """
    if not citation.url:
        return None
    start = 0 if citation.start is None else citation.start
    end = size if citation.end is None else citation.end
    found = {
        "url": citation.url,
        "title": citation.title,
        "start_index": begins + start,
        "end_index": begins + end,
    }
    return {"type": "url_citation", "url_citation": found}
