"""The items of an answer while they are written: each begins, grows, and is told whole at last."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...canonical.events import BlockStarted, Searched
from ...canonical.logprobs import TokenLogprob
from ...canonical.opaque import tagged
from ...canonical.sources import Citation
from .sources import SEARCH, written_annotation

_ENCODE: Final = msgspec.json.Encoder().encode
_NO_TOKENS: Final = b'"logprobs":[]'
# Between two parts of an event stands its number, which is only known when it is sent.
NUMBER: Final = b'"sequence_number":%d'


def event(kind: str, **members: Any) -> bytes:
    """Return an event with a place for its number."""
    data = _ENCODE(members).replace(b"%", b"%%")
    tail = data[1:] if members else b"}"
    comma = b"," if members else b""
    return b'event: %b\ndata: {"type":"%b",%b%b%b\n\n' % (
        kind.encode(),
        kind.encode(),
        NUMBER,
        comma,
        tail,
    )


class OpenItem:
    """An item of the output. `done` is what it is in the end, as JSON.

    `delta` is what an event with a piece of it looks like: its number and the piece go in.
    """

    delta = b""

    def __init__(self, index: int, id: str) -> None:
        self.id = id
        self.place: dict[str, Any] = {"output_index": index, "item_id": id}
        self._index = index
        self._pieces: list[str] = []

    def add(self, text: str) -> None:
        self._pieces.append(text)

    def sign(self, signature: str) -> None:
        """Take note of a signature, which only reasoning has."""

    def begin(self) -> list[bytes]:
        """Return the events that begin it."""
        return [event("response.output_item.added", output_index=self._index, item=self.item())]

    def end(self) -> list[bytes]:
        """Return the events that end it."""
        return [event("response.output_item.done", output_index=self._index, item=self.item())]

    def done(self) -> bytes:
        return _ENCODE(self.item())

    def item(self) -> dict[str, Any]:
        """Return it as far as it is."""
        raise NotImplementedError

    def _text(self) -> str:
        return "".join(self._pieces)

    def _grows(self, kind: str, more: bytes = b"", **place: Any) -> bytes:
        """Return what events of a `kind` look like that bring a piece."""
        shown = _ENCODE({**self.place, **place}).replace(b"%", b"%%")[1:-1]
        return b'event: %b\ndata: {"type":"%b",%b,%b,"delta":%%b%b}\n\n' % (
            kind.encode(),
            kind.encode(),
            NUMBER,
            shown,
            more,
        )


class MessageItem(OpenItem):
    """A message: text after text, or a refusal, a part each."""

    def __init__(self, index: int, id: str) -> None:
        super().__init__(index, id)
        self._parts: list[dict[str, Any]] = []
        self._open = ""
        self._annotations: list[dict[str, Any]] = []
        self._tokens: list[TokenLogprob] = []

    def open_part(self, kind: str) -> list[bytes]:
        """Return the events that begin a part; an open one ends."""
        out = self._close_part()
        self._open = kind
        number = len(self._parts)
        if kind == "refusal":
            self.delta = self._grows("response.refusal.delta", content_index=number)
        else:
            more = b"," + _NO_TOKENS
            self.delta = self._grows("response.output_text.delta", more, content_index=number)
        part = self._part("")
        out.append(
            event("response.content_part.added", **self.place, content_index=number, part=part)
        )
        return out

    def likely(self, tokens: list[TokenLogprob]) -> bytes:
        """Return what an event with a piece looks like whose `tokens` are told, too."""
        self._tokens += tokens
        shown = b'"logprobs":%b' % _ENCODE(tokens).replace(b"%", b"%%")
        return self.delta.replace(_NO_TOKENS, shown)

    def cite(self, citation: Citation) -> list[bytes]:
        """Return the event by which the open part cites something."""
        annotation = written_annotation(citation, len(self._text()))
        if annotation is None or self._open != "text":
            return []
        number = len(self._annotations)
        self._annotations.append(annotation)
        place = {**self.place, "content_index": len(self._parts), "annotation_index": number}
        return [event("response.output_text.annotation.added", **place, annotation=annotation)]

    def end(self) -> list[bytes]:
        out = self._close_part()
        self._status = "completed"
        return out + super().end()

    _status = "in_progress"

    def item(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "message",
            "status": self._status,
            "role": "assistant",
            "content": self._parts,
        }

    def _part(self, text: str) -> dict[str, Any]:
        if self._open == "refusal":
            return {"type": "refusal", "refusal": text}
        found: dict[str, Any] = {"type": "output_text", "text": text}
        return {**found, "annotations": self._annotations, "logprobs": self._tokens}

    def _close_part(self) -> list[bytes]:
        if not self._open:
            return []
        text, place = self._text(), {**self.place, "content_index": len(self._parts)}
        part = self._part(text)
        if self._open == "refusal":
            told = event("response.refusal.done", **place, refusal=text)
        else:
            told = event("response.output_text.done", **place, text=text, logprobs=self._tokens)
        self._parts.append(part)
        self._pieces, self._open = [], ""
        self._annotations, self._tokens = [], []
        return [told, event("response.content_part.done", **place, part=part)]


class ReasoningItem(OpenItem):
    """Reasoning: its text as a summary, which clients show and send back, and its signature."""

    def __init__(self, index: int, id: str, family: str, *, encrypted: bool) -> None:
        super().__init__(index, id)
        self._family = family
        self._encrypted = encrypted
        self._signature = ""
        self._ended = False
        self.delta = self._grows("response.reasoning_summary_text.delta", summary_index=0)

    def sign(self, signature: str) -> None:
        self._signature += signature

    def begin(self) -> list[bytes]:
        out = super().begin()
        if self._encrypted:
            return out
        part = {"type": "summary_text", "text": ""}
        kind = "response.reasoning_summary_part.added"
        return [*out, event(kind, **self.place, summary_index=0, part=part)]

    def end(self) -> list[bytes]:
        self._ended = True
        out: list[bytes] = []
        if not self._encrypted:
            place, text = {**self.place, "summary_index": 0}, self._text()
            part = {"type": "summary_text", "text": text}
            out.append(event("response.reasoning_summary_text.done", **place, text=text))
            out.append(event("response.reasoning_summary_part.done", **place, part=part))
        return out + super().end()

    def item(self) -> dict[str, Any]:
        item: dict[str, Any] = {"id": self.id, "type": "reasoning", "summary": []}
        if self._ended:
            if not self._encrypted:
                item["summary"] = [{"type": "summary_text", "text": self._text()}]
            item["encrypted_content"] = tagged(self._family, self._signature)
        return item


class CallItem(OpenItem):
    """A call of a function or of a custom tool."""

    def __init__(self, index: int, id: str, begun: BlockStarted) -> None:
        super().__init__(index, id)
        self._begun = begun
        self._ended = False
        kind = "custom_tool_call_input" if begun.custom else "function_call_arguments"
        self._kind = f"response.{kind}"
        self.delta = self._grows(f"{self._kind}.delta")

    def end(self) -> list[bytes]:
        out = []
        if not self._pieces and not self._begun.custom:
            # Clients parse the arguments of a call, and nothing is no JSON.
            self.add("{}")
            out.append(self.delta.replace(b"%b", b'"{}"'))
        self._ended = True
        text = self._text()
        said = {"input": text} if self._begun.custom else {"arguments": text}
        told = event(f"{self._kind}.done", **self.place, **said)
        return [*out, told, *super().end()]

    def item(self) -> dict[str, Any]:
        begun, custom = self._begun, self._begun.custom
        item = {
            "id": self.id,
            "type": "custom_tool_call" if custom else "function_call",
            "status": "completed" if self._ended else "in_progress",
            "call_id": begun.call_id or self.id,
            "name": begun.name,
        }
        if begun.namespace:
            item["namespace"] = begun.namespace
        item["input" if custom else "arguments"] = self._text() if self._ended else ""
        return item


class SearchItem(OpenItem):
    """A search that is over when it is told."""

    def __init__(self, index: int, id: str, told: Searched) -> None:
        super().__init__(index, id)
        self._told = told
        self._ended = False

    def begin(self) -> list[bytes]:
        steps = ("in_progress", "searching")
        return super().begin() + [
            event(f"response.{SEARCH}.{step}", **self.place) for step in steps
        ]

    def end(self) -> list[bytes]:
        self._ended = True
        return [event(f"response.{SEARCH}.completed", **self.place), *super().end()]

    def item(self) -> dict[str, Any]:
        told = self._told
        status = "completed" if told.failure is None else "failed"
        action: dict[str, Any] = {"type": "search", "query": ", ".join(told.queries)}
        if self._ended:
            action["queries"] = told.queries
            action["sources"] = [{"type": "url", "url": page.url} for page in told.pages]
        return {
            "id": self.id,
            "type": SEARCH,
            "status": status if self._ended else "in_progress",
            "action": action,
        }
