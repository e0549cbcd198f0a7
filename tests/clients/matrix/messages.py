"""Anthropic's Messages."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.late import accumulate_event, anthropic, message_event

from ..model import SIGNATURE, message_events
from .spoken import Asked, Said, Spoken, Turn, data_of

_STOPS: Final = {
    "end_turn": "end",
    "max_tokens": "length",
    "tool_use": "calls",
    "stop_sequence": "sequence",
    "refusal": "refusal",
}
_REASONS: Final = {stop: reason for reason, stop in _STOPS.items()}
# Half of what the cache has to do with is read from it.
_CREATED: Final = 3


class Messages(Spoken):
    name = "messages"
    path = "/v1/messages"
    tells_sequence = True
    state = SIGNATURE

    def request(self, asked: Asked) -> dict[str, Any]:
        turns = list(asked.turns)
        body: dict[str, Any] = {"model": f"to-{self.name}", "max_tokens": 5000}
        if turns[0].role == "system":
            body["system"] = turns.pop(0).text
        body["messages"] = [_message(turn) for turn in turns]
        if asked.tools:
            body["tools"] = [
                {"name": name, "input_schema": {"type": "object"}} for name in asked.tools
            ]
        if asked.choice in ("auto", "none", "any"):
            body["tool_choice"] = {"type": asked.choice}
        elif asked.choice:
            body["tool_choice"] = {"type": "tool", "name": asked.choice}
        if asked.parallel is not None:
            choice = body.setdefault("tool_choice", {"type": "auto"})
            choice["disable_parallel_tool_use"] = not asked.parallel
        if asked.schema is not None:
            body["output_config"] = {"format": {"type": "json_schema", "schema": asked.schema}}
        if asked.thinks:
            body["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        if asked.stop:
            body["stop_sequences"] = asked.stop
        if asked.stream:
            body["stream"] = True
        return body

    def asked(self, body: dict[str, Any]) -> Asked:
        system = body.get("system", [])
        head = [system] if isinstance(system, str) else [each["text"] for each in system]
        turns = [Turn("system", text) for text in head]
        choice = body.get("tool_choice") or {}
        form = (body.get("output_config") or {}).get("format") or {}
        parallel = choice.get("disable_parallel_tool_use")
        return Asked(
            turns=[*turns, *(each for message in body["messages"] for each in _turns(message))],
            tools=[each["name"] for each in body.get("tools", ())],
            choice=choice.get("name") or choice.get("type", ""),
            parallel=None if parallel is None else not parallel,
            schema=form.get("schema"),
            thinks=(body.get("thinking") or {}).get("type") in ("enabled", "adaptive"),
            stop=body.get("stop_sequences", []),
            stream=bool(body.get("stream")),
        )

    def answer(self, said: Said) -> dict[str, Any]:
        content: list[dict[str, Any]] = []
        if said.thought:
            thought = {"type": "thinking", "thinking": said.thought, "signature": SIGNATURE}
            content.append({**thought})
        if said.text or said.refusal:
            content.append({"type": "text", "text": said.text or said.refusal})
        content += [
            {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": arguments}
            for number, (name, arguments) in enumerate(said.calls)
        ]
        taken, given, cached = said.usage
        created = _CREATED if cached else 0
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "real-model",
            "content": content,
            "stop_reason": _REASONS[said.stop],
            "stop_sequence": "END" if said.stop == "sequence" else None,
            "usage": {
                "input_tokens": taken - cached - created,
                "output_tokens": given,
                "cache_read_input_tokens": cached,
                "cache_creation_input_tokens": created,
            },
        }

    def events(self, said: Said) -> list[bytes]:
        return list(message_events(self.answer(said)))

    def said(self, answer: dict[str, Any]) -> Said:
        message = anthropic.types.Message.model_validate(answer)
        said = Said(stop=_STOPS[message.stop_reason or ""], raw=answer["content"])
        if message.stop_details is not None:
            said.refusal = message.stop_details.explanation or ""
        for block in message.content:
            if block.type == "text":
                said.text += block.text
            elif block.type == "thinking":
                said.thought += block.thinking
            elif block.type == "tool_use":
                assert isinstance(block.input, dict)
                said.calls.append((block.name, block.input))
        usage = message.usage
        cached = usage.cache_read_input_tokens or 0
        taken = usage.input_tokens + cached + (usage.cache_creation_input_tokens or 0)
        said.usage = taken, usage.output_tokens, cached
        return said

    def streamed(self, body: bytes) -> Said:
        message: Any = None
        buffers: dict[int, bytes] = {}
        for line in data_of(body):
            event = message_event().validate_python(json.loads(line))
            message = accumulate_event(event, message, buffers)
        return self.said(message.to_dict(mode="json"))

    def error(self, message: str, *, too_long: bool = False) -> dict[str, Any]:
        said = f"prompt is too long: {message}" if too_long else message
        return {"type": "error", "error": {"type": "invalid_request_error", "message": said}}

    def told(self, body: dict[str, Any]) -> tuple[str, bool]:
        assert body["type"] == "error"
        message = body["error"]["message"]
        return message, message.startswith("prompt is too long")

    def broken(self, message: str) -> bytes:
        error = {"type": "error", "error": {"type": "api_error", "message": message}}
        return b"event: error\ndata: " + json.dumps(error).encode() + b"\n\n"

    def breaks(self, body: bytes) -> str | None:
        last = json.loads(data_of(body)[-1])
        return last["error"]["message"] if last["type"] == "error" else None

    def call_id(self, raw: Any) -> str:
        return str(raw[-1]["id"])


def _message(turn: Turn) -> dict[str, Any]:
    if turn.role == "raw":
        return {"role": "assistant", "content": turn.raw}
    blocks: list[dict[str, Any]] = [{"type": "text", "text": turn.text}] if turn.text else []
    if turn.role == "results":
        blocks = [
            {"type": "tool_result", "tool_use_id": id, "content": text, "is_error": failed}
            for id, text, failed in turn.results
        ]
        if turn.images:
            text = {"type": "text", "text": blocks[-1]["content"]}
            blocks[-1]["content"] = [text, *map(_image, turn.images)]
    else:
        blocks += map(_image, turn.images)
    blocks += [
        {"type": "tool_use", "id": id, "name": name, "input": arguments}
        for id, name, arguments in turn.calls
    ]
    return {"role": "user" if turn.role == "results" else turn.role, "content": blocks}


def _image(image: tuple[str, str]) -> dict[str, Any]:
    kind, data = image
    if kind == "url":
        return {"type": "image", "source": {"type": "url", "url": data}}
    source = {"type": "base64", "media_type": kind, "data": data}
    return {"type": "image", "source": source}


def _turns(message: dict[str, Any]) -> list[Turn]:
    content = message["content"]
    blocks: list[dict[str, Any]] = (
        [{"type": "text", "text": content}] if isinstance(content, str) else content
    )
    results, rest = Turn("results"), Turn(message["role"])
    for block in blocks:
        if block["type"] == "tool_result":
            inner = block.get("content", "")
            parts = [{"type": "text", "text": inner}] if isinstance(inner, str) else inner
            text = "".join(part.get("text", "") for part in parts)
            results.results.append((block["tool_use_id"], text, bool(block.get("is_error"))))
            results.images += [_read(part) for part in parts if part["type"] == "image"]
        elif block["type"] == "text":
            rest.text += block["text"]
        elif block["type"] == "image":
            rest.images.append(_read(block))
        elif block["type"] == "tool_use":
            rest.calls.append((block["id"], block["name"], block["input"]))
    return [results, rest] if results.results else [rest]


def _read(block: dict[str, Any]) -> tuple[str, str]:
    source = block["source"]
    return ("url", source["url"]) if "url" in source else (source["media_type"], source["data"])
