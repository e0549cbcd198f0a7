"""How many items a request has: messages, their parts, calls, tools.

Each takes some ten microseconds to be translated and five to be looked at for what it needs, and a
message takes 15 bytes to write: 33 MB of them would take half a minute.
"""

from __future__ import annotations

import enum
import re
from contextvars import ContextVar
from typing import Final

import msgspec

from ....errors import InvalidRequest

# Anthropic takes 100,000 messages in a request; agents that have run for days send some thousand.
MOST_ITEMS: Final = 20_000
# Of the count under way: several threads may read a body each.
_LEFT: Final[ContextVar[list[int]]] = ContextVar("left")
# Lone ones are valid JSON that msgspec does not read.
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


class _TooMany(Exception):
    """There are more items than may be."""


def _count() -> None:
    left = _LEFT.get()
    left[0] -= 1
    if left[0] < 0:
        raise _TooMany


class _Text(enum.Enum):
    """A text in place of an item. An Enum that knows none of its values asks about each."""

    NONE = "\0"

    # By identity, as none of them is looked for.
    __hash__ = object.__hash__

    @classmethod
    def _missing_(cls, value: object) -> _Text:
        _count()
        return cls.NONE


class _Item(msgspec.Struct):
    """An object that is taken apart, with the lists of such that the dialects have in one.

    Schemas and arguments are objects too, but are passed on without being taken apart.
    """

    content: _Value = None
    parts: _Value = None
    output: _Value = None
    summary: _Value = None
    tool_calls: _Value = None
    images: _Value = None
    annotations: _Value = None
    reasoning_details: _Value = None
    tools: _Value = None
    function_declarations: _Value = msgspec.field(name="functionDeclarations", default=None)
    tool_result: _Value = msgspec.field(name="toolResult", default=None)
    stop_sequences: _Value = msgspec.field(name="stopSequences", default=None)
    stop: _Value = None

    def __post_init__(self) -> None:
        _count()


class _Body(msgspec.Struct):
    messages: _Value = None
    input: _Value = None
    contents: _Value = None
    images: _Value = None
    documents: _Value = None
    include: _Value = None
    tools: _Value = None
    functions: _Value = None
    system: _Value = None
    stop: _Value = None
    stop_sequences: _Value = None
    tool_config: _Value = msgspec.field(name="toolConfig", default=None)
    generation_config: _Value = msgspec.field(name="generationConfig", default=None)
    inference_config: _Value = msgspec.field(name="inferenceConfig", default=None)
    options: _Value = None
    system_instruction: _Value = msgspec.field(name="systemInstruction", default=None)


_Value = _Item | list[_Item | _Text] | _Text | None
_DECODER: Final = msgspec.json.Decoder(_Body)


def check_items(body: bytes) -> None:
    """Raise InvalidRequest (400) if the request in `body` has more than `MOST_ITEMS` items."""
    # Each follows a comma, is an object, or is the first text in one: most requests have fewer.
    if body.count(b",") + 2 * body.count(b"{") <= MOST_ITEMS:
        return
    token = _LEFT.set([MOST_ITEMS])
    try:
        _read(body)
    except _TooMany:
        raise InvalidRequest(
            f"the request has more than {MOST_ITEMS} messages, parts and tools",
            code="too_many_items",
        ) from None
    except (msgspec.DecodeError, RecursionError) as exc:
        # Numbers or lists in place of messages, say: nothing takes such a request.
        raise InvalidRequest(f"the request cannot be read: {exc}", code="invalid_json") from exc
    finally:
        _LEFT.reset(token)


def _read(body: bytes) -> None:
    try:
        _decode(body)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        _LEFT.get()[0] = MOST_ITEMS
        _decode(_SURROGATE.sub(rb"\\u0020", body))


def _decode(body: bytes) -> None:
    try:
        _DECODER.decode(body)
    except msgspec.ValidationError:
        if _LEFT.get()[0] < 0:
            # msgspec says instead that the text is none of the Enum's.
            raise _TooMany from None
        raise
