"""A stream that a provider sent instead of a whole answer, put together to one.

Some servers stream whatever they are asked for. The answer was generated and will be billed, so
it is worth more than an error, and asking again would bring, and cost, the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from ...records.counting import UsageRule
from ...wire.sse import SseDecoder
from ..base import Answer, NotAnAnswer
from .chunk import CHAT, Shape
from .stream import ChatStreamRewriter

# Putting together runs in one go, at about 15 µs an event of 300 bytes: 0.4 s.
MAX_ASSEMBLED: Final = 8 * 1024 * 1024

# What of a delta is a name and not a piece of text.
_NAMES: Final = frozenset({"role", "id", "name", "type"})


def assemble(
    body: bytes,
    model: bytes,
    choices: int,
    shape: Shape = CHAT,
    usage_rule: UsageRule = "usual",
) -> Answer:
    """Return the answer that the stream `body` gives under the name `model`, which is JSON.

    Raises NotAnAnswer for a stream with an error in it and for one that is not whole.
    """
    if len(body) > MAX_ASSEMBLED:
        raise NotAnAnswer("a stream instead of an answer, too long for one", final=True)
    rewriter = ChatStreamRewriter(
        model,
        keep_usage=True,
        max_event_bytes=MAX_ASSEMBLED,
        choices=choices,
        shape=shape,
        usage_rule=usage_rule,
    )
    events = rewriter.feed(body) + rewriter.end()
    if rewriter.error is not None:
        raise NotAnAnswer("a stream with an error instead of an answer", error=rewriter.error)
    whole = rewriter.meaningful and (rewriter.done or rewriter.finished)
    if rewriter.broken is not None or not whole:
        why = rewriter.broken or "it ends in the middle"
        raise NotAnAnswer(f"a stream instead of an answer: {why}", final=True)
    try:
        answer = _assemble(events, shape)
    except (ValueError, TypeError, AttributeError, RecursionError) as exc:
        # Members of other types than the API has.
        raise NotAnAnswer("a stream instead of an answer: its chunks differ", final=True) from exc
    return Answer(answer, rewriter.usage, rewriter.text_tokens)


def _assemble(events: bytes, shape: Shape) -> bytes:
    answer: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for event in SseDecoder(MAX_ASSEMBLED * 2).feed(events):
        if event.data is None:
            continue
        chunk = json.loads(event.data)
        for choice in chunk.pop("choices", None) or []:
            index = choice.setdefault("index", 0)
            begun: dict[str, Any] = {"index": index}
            if shape.message:
                begun["message"] = {}
            _add_choice(choices.setdefault(index, begun), choice)
        answer |= {key: value for key, value in chunk.items() if value is not None}
    answer["object"] = shape.whole
    answer["choices"] = [
        {"finish_reason": None, **choices[index]} for index in sorted(choices, key=int)
    ]
    return json.dumps(answer, separators=(",", ":")).encode()


def _add_choice(choice: dict[str, Any], piece: Mapping[str, Any]) -> None:
    for key, value in piece.items():
        if key in ("delta", "message"):
            _add_delta(choice.setdefault("message", {}), value or {})
        elif key == "logprobs":
            _add_logprobs(choice, value)
        elif key == "text":
            choice[key] = choice.get(key, "") + value
        elif value is not None:
            choice[key] = value


def _add_delta(message: dict[str, Any], delta: Mapping[str, Any]) -> None:
    for key, value in delta.items():
        if key == "tool_calls":
            for call in value or []:
                _add_call(message.setdefault(key, []), call)
        elif key == "function_call" and value:
            _add_function(message.setdefault(key, {}), value)
        else:
            message[key] = _joined(message.get(key), value, name=key in _NAMES)


def _joined(old: Any, new: Any, *, name: bool) -> Any:
    if new is None or (name and not new):
        return old
    if isinstance(old, str) and isinstance(new, str) and not name:
        return old + new
    if isinstance(old, list) and isinstance(new, list):
        return old + new
    return new


def _add_call(calls: list[dict[str, Any]], piece: dict[str, Any]) -> None:
    # Gemini's compatible API sends whole calls without an index.
    index = piece.get("index", len(calls))
    call = next((each for each in calls if each["index"] == index), None)
    if call is None:
        call = {"index": index}
        calls.append(call)
    for key, value in piece.items():
        if key == "function":
            _add_function(call.setdefault(key, {}), value or {})
        elif value:
            call[key] = value


def _add_function(function: dict[str, Any], piece: Mapping[str, Any]) -> None:
    for key, value in piece.items():
        if key == "arguments":
            function[key] = function.get(key, "") + (value or "")
        elif value:
            function[key] = value


def _add_logprobs(choice: dict[str, Any], logprobs: Mapping[str, Any] | None) -> None:
    if logprobs is None:
        choice.setdefault("logprobs", None)
        return
    found = choice.get("logprobs") or {}
    for key, value in logprobs.items():
        found[key] = _joined(found.get(key), value, name=False)
    choice["logprobs"] = found
