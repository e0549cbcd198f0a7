"""Web searches of Anthropic's servers: a call with the query, and a block with what it found."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...canonical.events import Searched
from ...canonical.opaque import tagged
from ...canonical.sources import FoundPage

_Found = msgspec.Raw | msgspec.UnsetType
_SEARCH: Final = "web_search"
# Ids of searches that other providers have made, by which they are known when they come back.
OWN: Final = "srvtoolu_gateway_"
_UNAVAILABLE: Final = "unavailable"


class _Query(msgspec.Struct):
    query: str = ""


class _Result(msgspec.Struct):
    type: str = ""
    url: str = ""
    title: str | None = None
    page_age: str | None = None


class _Failure(msgspec.Struct):
    error_code: str = _UNAVAILABLE


_QUERY: Final = msgspec.json.Decoder(_Query)
_RESULTS: Final = msgspec.json.Decoder(list[_Result])
_FAILURE: Final = msgspec.json.Decoder(_Failure)


class _Asked(msgspec.Struct):
    id: str
    given: str = ""


class Searches:
    """The searches of one answer, while they are asked and answered."""

    def __init__(self) -> None:
        # By Anthropic's index of the block, until the result comes.
        self._asked: dict[int, _Asked] = {}

    def begin(self, number: int, id: str, name: str, given: _Found) -> None:
        """Take note of a call of a server's tool."""
        self._asked.pop(number, None)
        if name == _SEARCH:
            text = "" if isinstance(given, msgspec.UnsetType) else bytes(given).decode()
            self._asked[number] = _Asked(id, "" if text in ("{}", "null") else text)

    def grow(self, number: int, piece: str | None) -> None:
        """Add a piece of a search's input."""
        asked = self._asked.get(number)
        if asked is not None and piece:
            asked.given += piece

    def end(self, id: str, content: _Found) -> Searched:
        """Return the search `id`, which has found `content`."""
        found = next((key for key, each in self._asked.items() if each.id == id), None)
        asked = _Asked(id) if found is None else self._asked.pop(found)
        try:
            query = _QUERY.decode(asked.given).query
        except (msgspec.DecodeError, RecursionError):
            query = ""
        searched = Searched(id, [query] if query else [])
        if isinstance(content, msgspec.Raw):
            try:
                pages = [each for each in _RESULTS.decode(content) if each.url]
                searched.pages = [
                    FoundPage(each.url, each.title or "", each.page_age) for each in pages
                ]
            except (msgspec.DecodeError, RecursionError):
                searched.failure = _failure(content)
        return searched


def _failure(content: msgspec.Raw) -> str:
    try:
        return _FAILURE.decode(content).error_code
    except (msgspec.DecodeError, RecursionError):
        return _UNAVAILABLE


def written_search(event: Searched, number: int, family: str) -> tuple[str, dict[str, Any], Any]:
    """Return the id, the input and the content of the blocks that show a search."""
    id = event.id if event.id.startswith("srvtoolu_") else f"{OWN}{number}"
    content: Any = [
        {
            "type": "web_search_result",
            "url": each.url,
            "title": each.title,
            "encrypted_content": tagged(family, ""),
            "page_age": each.age,
        }
        for each in event.pages
    ]
    if event.failure is not None:
        content = {"type": "web_search_tool_result_error", "error_code": event.failure}
    return id, {"query": ", ".join(event.queries)}, content
