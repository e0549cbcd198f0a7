"""What a text cites, as annotations, and the web searches of the servers, as items of an answer.

The types are those of openai-python's `response_output_text.py` and
`response_function_web_search.py`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...canonical.events import Searched
from ...canonical.sources import Citation, FoundPage

_Raw = msgspec.Raw
SEARCH: Final = "web_search_call"
_UNAVAILABLE: Final = "unavailable"


class _Annotation(msgspec.Struct):
    """What is read of an annotation of any type."""

    type: str = ""
    url: str | None = None
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None
    file_id: str | None = None
    filename: str | None = None


_ANNOTATION: Final = msgspec.json.Decoder(_Annotation)
_LIST: Final = msgspec.json.Decoder(list[_Raw])


def read_annotation(raw: _Raw) -> Citation | None:
    """Return what an annotation cites; None for one of another kind."""
    try:
        found = _ANNOTATION.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not (found.url or found.file_id):
        return None
    return Citation(
        url=found.url or "",
        title=found.title or found.filename or "",
        start=found.start_index,
        end=found.end_index,
        file_id=found.file_id,
        native=raw,
    )


def read_annotations(raw: _Raw) -> list[Citation | None]:
    """Return what the annotations of a part cite, in their order; none for what is no list."""
    try:
        return [read_annotation(each) for each in _LIST.decode(raw)]
    except (msgspec.DecodeError, RecursionError):
        return []


def written_annotation(citation: Citation, size: int) -> dict[str, Any] | None:
    """Return the annotation of a text that is `size` long; None for what has no form here."""
    if citation.url:
        return {
            "type": "url_citation",
            "start_index": 0 if citation.start is None else citation.start,
            "end_index": size if citation.end is None else citation.end,
            "title": citation.title,
            "url": citation.url,
        }
    if citation.document is None and citation.file_id is None:
        return None
    # A document of the request, which its number names where it has no id.
    return {
        "type": "file_citation",
        "file_id": citation.file_id or f"document_{citation.document}",
        "filename": citation.title,
        "index": size,
    }


# Searches...


class _Page(msgspec.Struct):
    url: str = ""


class _Action(msgspec.Struct):
    type: str = ""
    query: str | None = None
    queries: list[str] | None = None
    sources: list[_Page] | None = None


class _Call(msgspec.Struct):
    """`arguments` is xAI's form of it: JSON in a string."""

    id: str = ""
    status: str = ""
    action: _Action | None = None
    arguments: str | None = None


class _Given(msgspec.Struct):
    query: str = ""


_CALL: Final = msgspec.json.Decoder(_Call)
_GIVEN: Final = msgspec.json.Decoder(_Given)


def read_search(raw: msgspec.Raw) -> Searched | None:
    """Return the search of an item; None where a page was opened that had been found before."""
    try:
        found = _CALL.decode(raw)
        action = found.action
        if action is None:
            query = _GIVEN.decode(found.arguments or "{}").query
            action = _Action("search", query)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
    if action.type != "search":
        return None
    queries = action.queries or ([action.query] if action.query else [])
    pages = [FoundPage(each.url) for each in action.sources or () if each.url]
    failure = _UNAVAILABLE if found.status == "failed" else None
    return Searched(found.id, queries, pages, failure)
