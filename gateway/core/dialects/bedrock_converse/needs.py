"""What a request of Converse needs of its model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from ...wire.splice import JsonMember
from ..needs import NULL, fields_of, values_of

_READ: Final = frozenset({"messages", "toolConfig", "outputConfig", "additionalModelRequestFields"})
# A block is an object whose one member says what it is.
_KINDS: Final = {"image": "images", "document": "documents", "audio": "audio"}
_CALL: Final = "toolUse"
_RESULT: Final = "toolResult"
# Members of the model's own by which it is asked to think: Anthropic's, Nova's, OpenAI's.
_THINKING: Final = ("thinking", "reasoning_config", "reasoningConfig", "reasoning_effort")
_BLOCKS: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


class _Message(msgspec.Struct):
    content: msgspec.Raw = NULL


class _Result(msgspec.Struct):
    content: msgspec.Raw = NULL


_MESSAGES: Final = msgspec.json.Decoder(list[_Message])
_RESULTS: Final = msgspec.json.Decoder(_Result)


def read_needs(body: bytes, members: Sequence[JsonMember]) -> dict[str, str]:
    """Return where the request in `body` asks for what it needs, by the names of `Needs`."""
    values = values_of(body, members, _READ)
    found = _in_messages(values.get("messages", b""))
    if "toolConfig" in values:
        found["tools"] = "toolConfig"
    if bytes(fields_of(values.get("outputConfig", b"{}")).get("textFormat", NULL)) != bytes(NULL):
        found["structured_output"] = "outputConfig.textFormat"
    own = fields_of(values.get("additionalModelRequestFields", b"{}"))
    for name in _THINKING:
        if name in own and b'"disabled"' not in bytes(own[name]):
            found["thinking"] = f"additionalModelRequestFields.{name}"
    return found


def _in_messages(raw: bytes) -> dict[str, str]:
    try:
        messages = _MESSAGES.decode(raw) if raw else []
    except (msgspec.DecodeError, RecursionError):
        # Of another form than the API has: the provider says what is wrong with it.
        return {}
    found: dict[str, str] = {}
    for number, message in enumerate(messages):
        _in_blocks(message.content, f"messages.{number}.content", found)
    return found


def _in_blocks(raw: msgspec.Raw, path: str, found: dict[str, str]) -> None:
    calls = 0
    for number, block in enumerate(_blocks(raw)):
        where = f"{path}.{number}"
        for name, value in block.items():
            if name in _KINDS:
                found.setdefault(_KINDS[name], where)
            elif name == _CALL:
                found.setdefault("tools", path)
                calls += 1
            elif name == _RESULT:
                _in_blocks(_content(value), f"{where}.{name}.content", found)
    if calls > 1:
        found.setdefault("parallel_tools", path)


def _content(raw: msgspec.Raw) -> msgspec.Raw:
    try:
        return _RESULTS.decode(raw).content
    except (msgspec.DecodeError, RecursionError):
        return NULL


def _blocks(raw: msgspec.Raw) -> list[dict[str, msgspec.Raw]]:
    try:
        return _BLOCKS.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return []
