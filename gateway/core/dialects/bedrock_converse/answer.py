"""Whole answers: as they are, as a stream, and put together from one."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...wire.binary.event_stream import BadFrame, FrameDecoder
from ...wire.json_scan import NOTHING
from ...wire.splice import InvalidJSON, members
from ..base import Answer, NotAnAnswer
from ..text_meter import answer_tokens
from .frames import event_frame, event_name
from .usage import read_usage

_ENCODE: Final = msgspec.json.Encoder().encode
_BLOCKS: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NO_INPUT: Final = b"{}"
# Members of an answer that come with the end of a stream, and with its last event.
_OF_STOP: Final = ("stopReason", "additionalModelResponseFields")
_OF_METADATA: Final = ("usage", "metrics", "trace", "performanceConfig", "serviceTier")
# Putting together runs in one go.
MAX_ASSEMBLED: Final = 8 * 1024 * 1024


def rewrite_answer(body: bytes) -> Answer:
    """Return `body`, which says nothing of its model, every byte as it was.

    Raises NotAnAnswer for what is no answer, and for errors with status 200.
    """
    message, fields = _message_of(body)
    usage = read_usage(fields["usage"]) if "usage" in fields else None
    silent = usage is None or not usage.output_tokens
    tokens = answer_tokens(message.get("content")) if silent else 0
    return Answer(body, usage, tokens)


def _message_of(body: bytes) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the members of an answer's message, and those of the answer. Raises NotAnAnswer."""
    try:
        fields = {each.key: body[each.value_start : each.end] for each in members(body)}
        output = _FIELDS.decode(fields["output"]) if "output" in fields else {}
        message = _FIELDS.decode(output["message"]) if "message" in output else {}
    except InvalidJSON as exc:
        raise NotAnAnswer(f"the answer is not a JSON object: {exc}") from exc
    except (msgspec.DecodeError, RecursionError) as exc:
        raise NotAnAnswer("the answer has no message") from exc
    found = {key: bytes(value) for key, value in message.items()}
    if found.get("content", b"null") in (b"null", b"[]") and (
        fields.get("message", b"null") not in NOTHING or "__type" in fields
    ):
        raise NotAnAnswer("the answer is an error with status 200", error=body)
    if "content" not in found:
        raise NotAnAnswer("the answer has no content")
    return found, fields


def as_stream(body: bytes) -> bytes:
    """Return the stream that says what `body` says. Raises NotAnAnswer."""
    message, fields = _message_of(body)
    try:
        blocks = _BLOCKS.decode(message["content"])
    except (msgspec.DecodeError, RecursionError) as exc:
        raise NotAnAnswer("the answer's content cannot be read") from exc
    out = [event_frame("messageStart", b'{"role":%b}' % message.get("role", b'"assistant"'))]
    for index, block in enumerate(blocks):
        out += _block_frames(index, block)
    stop = {name: msgspec.Raw(fields[name]) for name in _OF_STOP if name in fields}
    out.append(event_frame("messageStop", _ENCODE(stop)))
    last = {name: msgspec.Raw(fields[name]) for name in _OF_METADATA if name in fields}
    out.append(event_frame("metadata", _ENCODE(last)))
    return b"".join(out)


def _block_frames(index: int, block: dict[str, msgspec.Raw]) -> list[bytes]:
    """Return the events of one block, an object whose one member says what it is."""
    start: dict[str, Any] | None = None
    deltas: list[dict[str, Any]] = []
    if "text" in block:
        deltas.append({"text": block["text"]})
    elif "toolUse" in block:
        call = _FIELDS.decode(block["toolUse"])
        text = bytes(call.pop("input", _NO_INPUT)).decode("utf-8", "replace")
        start = {"toolUse": call}
        deltas.append({"toolUse": {"input": text}})
    elif "reasoningContent" in block:
        deltas += _reasoning_deltas(_FIELDS.decode(block["reasoningContent"]))
    elif "citationsContent" in block:
        found = _FIELDS.decode(block["citationsContent"])
        deltas += _cited(found)
    else:
        # What only a whole answer has: an image, say. Its form is that of what begins a block.
        start = dict(block)
    frames = [] if start is None else [_frame("contentBlockStart", index, start=start)]
    frames += [_frame("contentBlockDelta", index, delta=delta) for delta in deltas]
    return [*frames, _frame("contentBlockStop", index)]


def _reasoning_deltas(found: dict[str, msgspec.Raw]) -> list[dict[str, Any]]:
    if "redactedContent" in found:
        return [{"reasoningContent": {"redactedContent": found["redactedContent"]}}]
    text = _FIELDS.decode(found.get("reasoningText", _NO_INPUT))
    return [{"reasoningContent": {key: text[key]}} for key in ("text", "signature") if key in text]


def _cited(found: dict[str, msgspec.Raw]) -> list[dict[str, Any]]:
    texts = _BLOCKS.decode(found.get("content", b"[]"))
    citations = msgspec.json.decode(found.get("citations", b"[]"), type=list[msgspec.Raw])
    deltas: list[dict[str, Any]] = [{"text": each["text"]} for each in texts if "text" in each]
    return deltas + [{"citation": each} for each in citations]


def _frame(name: str, index: int, **members: object) -> bytes:
    return event_frame(name, _ENCODE({"contentBlockIndex": index, **members}))


def assemble(stream: bytes) -> Answer:
    """Return the answer that a stream gives. Raises NotAnAnswer for one that is not whole."""
    if len(stream) > MAX_ASSEMBLED:
        raise NotAnAnswer("a stream instead of an answer, too long for one", final=True)
    try:
        body = _assemble(stream)
    except BadFrame as exc:
        raise NotAnAnswer(f"a stream instead of an answer: {exc}", final=True) from exc
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as exc:
        # Members of other types than the API has.
        raise NotAnAnswer("a stream instead of an answer: its events differ", final=True) from exc
    return rewrite_answer(body)


def _assemble(stream: bytes) -> bytes:
    blocks: dict[int, dict[str, Any]] = {}
    role, end = "assistant", {"stopReason": "end_turn"}
    last: dict[str, Any] = {}
    for frame in FrameDecoder(MAX_ASSEMBLED).feed(stream):
        name, found = event_name(frame), msgspec.json.decode(frame.payload)
        if name == "messageStart":
            role = found.get("role", role)
        elif name == "contentBlockStart":
            blocks[found["contentBlockIndex"]] = dict(found["start"])
        elif name == "contentBlockDelta":
            _add(blocks.setdefault(found["contentBlockIndex"], {}), found["delta"])
        elif name == "messageStop":
            end = found
        elif name == "metadata":
            last = found
    content = [_finished(blocks[index]) for index in sorted(blocks)]
    return _ENCODE({"output": {"message": {"role": role, "content": content}}, **end, **last})


def merged(block: dict[str, Any], delta: dict[str, Any]) -> dict[str, Any]:
    """Return `block` with what `delta` adds to it; as it was if the two do not fit."""
    try:
        _add(block, delta)
    except (TypeError, AttributeError, KeyError):
        return block
    return block


def _add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    if "toolUse" in delta:
        call = block.setdefault("toolUse", {})
        call["input"] = call.get("input", "") + delta["toolUse"].get("input", "")
    if "reasoningContent" in delta:
        _add_reasoning(block.setdefault("reasoningContent", {}), delta["reasoningContent"])
    if "citation" in delta:
        block.setdefault("citations", []).append(delta["citation"])


def _add_reasoning(block: dict[str, Any], delta: dict[str, Any]) -> None:
    if "redactedContent" in delta:
        block["redactedContent"] = block.get("redactedContent", "") + delta["redactedContent"]
        return
    text = block.setdefault("reasoningText", {"text": ""})
    for key in ("text", "signature"):
        if key in delta:
            text[key] = text.get(key, "") + delta[key]


def _finished(block: dict[str, Any]) -> dict[str, Any]:
    if isinstance(call := block.get("toolUse"), dict):
        text = call.get("input", "")
        # What a model has begun and not ended is an input all the same.
        call["input"] = msgspec.Raw(text.encode()) if _is_json(text) else text or {}
    if "citations" in block:
        text = [{"text": block.pop("text", "")}]
        return {"citationsContent": {"content": text, "citations": block.pop("citations")}}
    return block


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return True
