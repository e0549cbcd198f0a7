"""A request of Chat Completions and its answer as a conversation, for a person to read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from ..conversation import (
    MOST_PARTS,
    MOST_TURNS,
    Conversation,
    ConversationTurn,
    Part,
    PartKind,
    text_part,
)
from ..json_reading import as_json, decoded, items, member, other
from ..json_reading import text as text_of

# Not settings: they are shown in other ways.
_SHOWN: Final = {"messages", "tools", "functions", "model"}
_DATA_URL: Final = re.compile(r"data:([\w.+/-]{0,100})(?:;[\w=.-]{1,100}){0,4},", re.ASCII)
# Providers spell a model's thoughts in three ways.
_THOUGHTS: Final = ("reasoning_content", "reasoning", "thinking")


def read_request(body: bytes) -> Conversation:
    """Return what was asked; an empty conversation if the body cannot be read."""
    document = decoded(body)
    if not isinstance(document, dict):
        return Conversation()
    messages = document.get("messages")
    return Conversation(
        turns=[_turn(each) for each in items(messages)[:MOST_TURNS]],
        settings={name: value for name, value in document.items() if name not in _SHOWN},
        tools=[*_tool_names(document)],
    )


def read_answer(body: bytes) -> list[ConversationTurn]:
    """Return a whole answer's turns, one for each choice; none if it is no answer."""
    document = decoded(body)
    if not isinstance(document, dict):
        return []
    found = []
    for choice in items(document.get("choices"))[:MOST_TURNS]:
        message = member(choice, "message")
        if isinstance(message, dict):
            turn = _turn({"role": "assistant", **message})
            found.append(_ended(turn, member(choice, "finish_reason")))
    return found


def read_stream(events: Iterable[bytes]) -> list[ConversationTurn]:
    """Return the turns that a stream's events come to, one for each choice."""
    choices: dict[int, _Streamed] = {}
    for data in events:
        document = decoded(data)
        if not isinstance(document, dict):
            continue
        for choice in items(document.get("choices")):
            index = member(choice, "index")
            if not isinstance(index, int) or len(choices) >= MOST_TURNS:
                index = 0
            choices.setdefault(index, _Streamed()).add(choice)
    return [choices[index].turn() for index in sorted(choices)]


class _Streamed:
    """One choice of a stream, put together."""

    def __init__(self) -> None:
        self._texts: dict[PartKind, list[str]] = {}
        self._calls: dict[int, dict[str, list[str]]] = {}
        self._end: object = None

    def add(self, choice: Any) -> None:
        delta = member(choice, "delta")
        self._end = member(choice, "finish_reason") or self._end
        if not isinstance(delta, dict):
            return
        thought = next((delta[name] for name in _THOUGHTS if isinstance(delta.get(name), str)), "")
        said = (
            (PartKind.REASONING, thought),
            (PartKind.TEXT, delta.get("content")),
            (PartKind.REFUSAL, delta.get("refusal")),
        )
        for kind, text in said:
            if isinstance(text, str) and text:
                self._texts.setdefault(kind, []).append(text)
        for call in items(delta.get("tool_calls")):
            index = member(call, "index")
            if not isinstance(index, int) or len(self._calls) >= MOST_PARTS:
                index = 0
            known = self._calls.setdefault(index, {"name": [], "arguments": []})
            for name, texts in known.items():
                text = member(member(call, "function"), name)
                if isinstance(text, str):
                    texts.append(text)

    def turn(self) -> ConversationTurn:
        parts = [text_part(kind, "".join(texts)) for kind, texts in self._texts.items()]
        for _, call in sorted(self._calls.items()):
            title = "".join(call["name"])
            parts.append(text_part(PartKind.TOOL_CALL, "".join(call["arguments"]), title))
        return _ended(ConversationTurn(role="assistant", parts=parts), self._end)


def _turn(message: Any) -> ConversationTurn:
    if not isinstance(message, dict):
        return ConversationTurn(role="?", parts=[other(message)])
    role = text_of(message.get("role")) or "?"
    parts = []
    for name in _THOUGHTS:
        if isinstance(message.get(name), str) and message[name]:
            parts.append(text_part(PartKind.REASONING, message[name]))
            break
    kind = PartKind.TOOL_RESULT if role in ("tool", "function") else PartKind.TEXT
    parts += _content(message.get("content"), kind)
    if isinstance(message.get("refusal"), str) and message["refusal"]:
        parts.append(text_part(PartKind.REFUSAL, message["refusal"]))
    for call in items(message.get("tool_calls"))[:MOST_PARTS]:
        parts.append(_call(member(call, "function") or call))
    if isinstance(message.get("function_call"), dict):
        parts.append(_call(message["function_call"]))
    return ConversationTurn(role=role, parts=parts, name=text_of(message.get("name")))


def _content(content: Any, kind: PartKind) -> list[Part]:
    if content is None:
        return []
    if isinstance(content, str):
        return [text_part(kind, content)]
    if not isinstance(content, list):
        return [other(content)]
    return [_part(each, kind) for each in content[:MOST_PARTS]]


def _part(part: Any, kind: PartKind) -> Part:
    what = member(part, "type")
    if what == "text" and isinstance(member(part, "text"), str):
        return text_part(kind, part["text"])
    if what == "refusal" and isinstance(member(part, "refusal"), str):
        return text_part(PartKind.REFUSAL, part["refusal"])
    if what == "image_url":
        image = member(part, "image_url")
        return _image(image if isinstance(image, str) else text_of(member(image, "url")))
    if what == "input_audio":
        sound = member(part, "input_audio")
        size = len(text_of(member(sound, "data"))) * 3 // 4
        return Part(
            kind=PartKind.SOUND, media_type=text_of(member(sound, "format"))[:100], bytes=size
        )
    if what == "file":
        file = member(part, "file")
        size = len(text_of(member(file, "file_data"))) * 3 // 4
        title = text_of(member(file, "filename")) or text_of(member(file, "file_id"))
        return Part(kind=PartKind.FILE, title=title[:300], bytes=size or None)
    return other(part)


def _image(url: str) -> Part:
    match = _DATA_URL.match(url)
    if match is None:
        return Part(kind=PartKind.IMAGE, text=url[:2000])
    return Part(kind=PartKind.IMAGE, media_type=match[1], bytes=(len(url) - match.end()) * 3 // 4)


def _call(call: Any) -> Part:
    arguments = member(call, "arguments")
    return text_part(PartKind.TOOL_CALL, as_json(arguments), text_of(member(call, "name"))[:300])


def _tool_names(document: dict[str, Any]) -> Iterator[str]:
    for tool in items(document.get("tools")) + items(document.get("functions")):
        function = member(tool, "function")
        name = text_of(member(tool if function is None else function, "name"))
        yield name or text_of(member(tool, "type")) or "?"


def _ended(turn: ConversationTurn, reason: object) -> ConversationTurn:
    return msgspec.structs.replace(turn, note=reason[:100]) if isinstance(reason, str) else turn
