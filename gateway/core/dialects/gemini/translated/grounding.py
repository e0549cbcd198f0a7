"""What an answer is grounded on: searches, pages, and which text is from which of them.

    "groundingMetadata": {
        "webSearchQueries": ["..."],
        "groundingChunks": [{"web": {"uri": "...", "title": "..."}}],
        "groundingSupports": [{"segment": {"startIndex": 0, "endIndex": 9, "text": "..."},
                               "groundingChunkIndices": [0]}]}

(ai.google.dev/gemini-api/docs/google-search.) Places count the bytes of the text in UTF-8, from its
beginning; a start of 0 is left out.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...canonical.events import Searched
from ...canonical.sources import MOST_CITED, Citation, FoundPage


class _Page(msgspec.Struct):
    uri: str = ""
    title: str = ""


class _Chunk(msgspec.Struct, rename="camel"):
    web: _Page | None = None
    retrieved_context: _Page | None = None


class _Segment(msgspec.Struct, rename="camel"):
    start_index: int = 0
    end_index: int = 0
    text: str = ""


class _Support(msgspec.Struct, rename="camel"):
    segment: _Segment | None = None
    grounding_chunk_indices: list[int] = []


class _Grounding(msgspec.Struct, rename="camel"):
    web_search_queries: list[str] = []
    grounding_chunks: list[_Chunk] = []
    grounding_supports: list[_Support] = []


_GROUNDING: Final = msgspec.json.Decoder(_Grounding)


def read_grounding(raw: msgspec.Raw, id: str, text: str) -> tuple[Searched | None, list[Citation]]:
    """Return the search that an answer has made, and what its `text` cites."""
    try:
        found = _GROUNDING.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None, []
    pages = [each.web or each.retrieved_context or _Page() for each in found.grounding_chunks]
    searched = None
    if found.web_search_queries or pages:
        known = [FoundPage(page.uri, page.title) for page in pages if page.uri]
        searched = Searched(id, found.web_search_queries, known)
    said = text.encode("utf-8", "surrogatepass")
    citations = []
    for support in found.grounding_supports:
        segment = support.segment or _Segment()
        start, end = _characters(said, segment.start_index), _characters(said, segment.end_index)
        for index in support.grounding_chunk_indices:
            if 0 <= index < len(pages) and pages[index].uri and start < end:
                page = pages[index]
                citations.append(Citation(page.uri, page.title, start, end))
    return searched, citations


class GroundingWriter:
    """Collects what an answer is grounded on, for its last event."""

    def __init__(self) -> None:
        self._searches: list[Searched] = []
        self._cited: list[tuple[int, Citation]] = []
        self._pieces: list[str] = []
        self._size = 0
        # Where in the whole text each block begins and ends, by its index.
        self._begins: dict[int, int] = {}
        self._ends: dict[int, int] = {}

    def begin(self, index: int) -> None:
        """Take note that a block of text begins."""
        self._begins[index] = self._size

    def grow(self, index: int, text: str) -> None:
        self._pieces.append(text)
        self._size += len(text)
        self._ends[index] = self._size

    def search(self, search: Searched) -> None:
        self._searches.append(search)

    def cite(self, index: int, citation: Citation) -> None:
        if len(self._cited) < MOST_CITED and citation.url:
            self._cited.append((index, citation))

    def metadata(self) -> dict[str, Any] | None:
        """Return the metadata; None if there is nothing to tell."""
        if not (self._searches or self._cited):
            return None
        pages = {
            page.url: page.title for search in self._searches for page in search.pages if page.url
        }
        text, supports = "".join(self._pieces), []
        for index, citation in self._cited:
            pages.setdefault(citation.url, citation.title)
            begins, ends = self._begins.get(index, 0), self._ends.get(index, 0)
            start = begins if citation.start is None else min(begins + citation.start, ends)
            end = ends if citation.end is None else min(begins + citation.end, ends)
            segment = {
                "startIndex": _size(text[:start]),
                "endIndex": _size(text[:end]),
                "text": text[start:end],
            }
            number = list(pages).index(citation.url)
            supports.append({"segment": segment, "groundingChunkIndices": [number]})
        found: dict[str, Any] = {
            "webSearchQueries": [query for each in self._searches for query in each.queries],
            "groundingChunks": [
                {"web": {"uri": url, "title": title}} for url, title in pages.items()
            ],
            "groundingSupports": supports,
        }
        return {name: value for name, value in found.items() if value} or None


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _characters(said: bytes, place: int) -> int:
    """Return how many characters there are in front of a byte."""
    return len(said[: max(place, 0)].decode("utf-8", "replace"))
