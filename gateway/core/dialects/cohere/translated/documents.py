"""What a request gives a model to read, and what of it a text cites.

`documents` stand beside the messages, each a text or an object of texts with an id. A text of an
answer cites by `citations`, whose sources are such documents (`types/citation.py`, `source.py`).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...canonical.call import Document
from ...canonical.reading import Fields, fields_of, is_text, items_of, member_text, text_of
from ...canonical.sources import Citation

_Raw = msgspec.Raw

# Members of a document that are its text, if it has no others beside a title.
_TEXTS: Final = ("text", "snippet", "content")
_TITLE: Final = "title"
# What Cohere calls a document without an id, by its number (docs.cohere.com, "Documents and
# Citations").
_UNNAMED: Final = "doc:"
_OFF: Final = frozenset({"OFF", "DISABLED"})


class _Source(msgspec.Struct):
    type: str = ""
    id: str = ""
    document: dict[str, msgspec.Raw] | None = None


class _Citation(msgspec.Struct):
    start: int | None = None
    end: int | None = None
    content_index: int | None = None
    type: str | None = None
    sources: list[_Source] | None = None


_CITATION: Final = msgspec.json.Decoder(_Citation)
_STRING: Final = msgspec.json.Decoder(str)


def read_documents(fields: Fields) -> list[Document]:
    """Return the documents of a request. They are cited unless the request says otherwise."""
    options = fields_of(fields.get("citation_options", _Raw(b"{}")), "citation_options")
    silent = member_text(options, "mode", "citation_options", "").upper() in _OFF
    found = []
    for number, item in enumerate(items_of(fields.get("documents", _Raw(b"[]")), "documents")):
        document = read_document(item, f"documents.{number}")
        document.cited = "" if silent else "citation_options"
        found.append(document)
    return found


def read_document(item: _Raw, path: str) -> Document:
    """Return one document: a text, or an object with its `data`."""
    if is_text(item):
        return Document(text=text_of(item, path), media_type="text/plain")
    fields = fields_of(item, path)
    raw = fields.get("data", _Raw(b"0"))
    if is_text(raw):
        # Of results of tools (docs.cohere.com, "Basic usage of tool use").
        return Document(text=text_of(raw, f"{path}.data"), media_type="text/plain")
    data = fields_of(raw, f"{path}.data")
    title = _text_in(data, _TITLE) or member_text(fields, "id", path, "")
    rest = data.keys() - {_TITLE}
    text = _text_in(data, next(iter(rest))) if len(rest) == 1 and rest <= {*_TEXTS} else None
    if text is None:
        lines = [f"{name}: {_shown(value)}" for name, value in data.items() if name in rest]
        text = "\n".join(lines)
    return Document(text=text, media_type="text/plain", title=title or None)


def written_data(document: Document) -> dict[str, str]:
    """Return what a document says, as a provider gets it."""
    title = {} if document.title is None else {_TITLE: document.title}
    return {**title, "text": document.text or ""}


def written_document(document: Document, number: int) -> dict[str, Any]:
    """Return a document that is the `number`th of a request."""
    return {"id": f"{_UNNAMED}{number}", "data": written_data(document)}


def read_citation(raw: _Raw) -> tuple[int | None, list[Citation]]:
    """Return the number of the text that cites, and what it cites; nothing for what is none.

    None is the last text; what is not said of a text (of a plan, a thought) is left out.
    """
    try:
        found = _CITATION.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None, []
    if found.type not in (None, "TEXT_CONTENT"):
        return None, []
    sources = [each for each in found.sources or () if each.type == "document"]
    return found.content_index, [_cited(each, found) for each in sources]


def _cited(source: _Source, found: _Citation) -> Citation:
    data = source.document or {}
    number = source.id.removeprefix(_UNNAMED)
    return Citation(
        url=_text_in(data, "url") or "",
        title=_text_in(data, _TITLE) or "",
        start=found.start,
        end=found.end,
        quoted=next((text for name in _TEXTS if (text := _text_in(data, name))), ""),
        document=int(number) if number.isascii() and number.isdigit() else None,
    )


class ShownSources:
    """The documents of a caller's request, as the answer's citations show them again."""

    def __init__(self, body: bytes) -> None:
        self._known: list[tuple[str, dict[str, Any]]] = []
        if b'"documents"' not in body:
            return
        raw = fields_of(body, "").get("documents", _Raw(b"[]"))
        for number, item in enumerate(items_of(raw, "documents")):
            path = f"documents.{number}"
            if is_text(item):
                self._known.append((f"{_UNNAMED}{number}", {"text": item}))
                continue
            fields = fields_of(item, path)
            id = member_text(fields, "id", path, "") or f"{_UNNAMED}{number}"
            raw_ = fields.get("data", _Raw(b"{}"))
            data = {"text": raw_} if is_text(raw_) else fields_of(raw_, f"{path}.data")
            self._known.append((id, {"id": id, **data}))

    def written(self, citation: Citation, text: str, index: int) -> dict[str, Any] | None:
        """Return a citation of the text with this number; None for one without a source."""
        source = self._source(citation)
        if source is None:
            return None
        start = 0 if citation.start is None else citation.start
        end = len(text) if citation.end is None else citation.end
        return {
            "start": start,
            "end": end,
            "text": text[start:end],
            "sources": [source],
            "content_index": index,
            "type": "TEXT_CONTENT",
        }

    def _source(self, citation: Citation) -> dict[str, Any] | None:
        number = citation.document
        if number is not None and number < len(self._known):
            id, data = self._known[number]
            return {"type": "document", "id": id, "document": data}
        if not citation.url:
            return None
        page = {"id": citation.url, "url": citation.url, "title": citation.title}
        quoted = {"snippet": citation.quoted} if citation.quoted else {}
        return {"type": "document", "id": citation.url, "document": {**page, **quoted}}


def _text_in(data: dict[str, _Raw], name: str) -> str | None:
    raw = data.get(name)
    if raw is None or not is_text(raw):
        return None
    try:
        return _STRING.decode(raw)
    except msgspec.DecodeError:
        return None


def _shown(value: _Raw) -> str:
    return text_of(value, "data") if is_text(value) else bytes(value).decode("utf-8", "replace")
