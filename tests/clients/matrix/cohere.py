"""Cohere's chats, version 2; an answer does not name its model."""

from __future__ import annotations

import json
from typing import Any, Final

from ..model import chat_call, pieces
from .spoken import Asked, Said, Spoken, Turn, data_of

_STOPS: Final = {
    "COMPLETE": "end",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "calls",
    "STOP_SEQUENCE": "sequence",
    "ERROR_TOXIC": "refusal",
}
_REASONS: Final = {stop: reason for reason, stop in _STOPS.items()}
_LONG: Final = "too many tokens: total number of tokens in the prompt"


class Cohere(Spoken):
    name = "cohere"
    path = "/v2/chat"
    later_instructions = result_images = parallel = carries = False
    choices = ("none", "any")
    tells_sequence = True

    def chosen(self, choice: str, tools: list[str]) -> tuple[str, list[str]] | None:
        if choice in tools:
            return "any", [choice]
        return ("" if choice == "auto" else choice), tools

    def request(self, asked: Asked) -> dict[str, Any]:
        messages = [each for turn in asked.turns for each in _messages(turn)]
        body: dict[str, Any] = {"model": f"to-{self.name}", "messages": messages}
        if asked.tools:
            body["tools"] = [
                {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
                for name in asked.tools
            ]
        if asked.choice:
            body["tool_choice"] = {"none": "NONE", "any": "REQUIRED"}[asked.choice]
        if asked.schema is not None:
            body["response_format"] = {"type": "json_object", "json_schema": asked.schema}
        if asked.thinks:
            body["thinking"] = {"type": "enabled", "token_budget": 1024}
        if asked.stop:
            body["stop_sequences"] = asked.stop
        return body | {"stream": asked.stream, "max_tokens": 5000}

    def asked(self, body: dict[str, Any]) -> Asked:
        choice = {"REQUIRED": "any", "NONE": "none"}.get(body.get("tool_choice", ""), "")
        return Asked(
            turns=[_turn(each) for each in body["messages"]],
            tools=[each["function"]["name"] for each in body.get("tools", ())],
            choice=choice,
            schema=(body.get("response_format") or {}).get("json_schema"),
            thinks=(body.get("thinking") or {}).get("type") == "enabled",
            stop=body.get("stop_sequences", []),
            stream=bool(body.get("stream")),
        )

    def answer(self, said: Said) -> dict[str, Any]:
        content: list[dict[str, Any]] = []
        message: dict[str, Any] = {"role": "assistant"}
        if said.thought:
            content.append({"type": "thinking", "thinking": said.thought})
        if said.calls:
            message["tool_plan"] = said.text
            message["tool_calls"] = [
                {**chat_call(*call), "id": f"call_{n}"} for n, call in enumerate(said.calls)
            ]
        elif said.text or said.refusal:
            content.append({"type": "text", "text": said.text or said.refusal})
        return {
            "id": "a-1",
            "message": {**message, "content": content},
            "finish_reason": _REASONS[said.stop],
            "usage": _usage(said),
        }

    def events(self, said: Said) -> list[bytes]:
        whole = self.answer(said)
        message = whole["message"]
        begun = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}
        found = [_event("message-start", id="a-1", delta={"message": {**begun, "citations": []}})]
        for index, block in enumerate(message["content"]):
            kind = block["type"]
            at = {"index": index}
            found.append(_said("content-start", {"content": {"type": kind, kind: ""}}, **at))
            for each in pieces(block[kind]):
                grown = {"content": {kind: each}}
                found += [_said("content-delta", grown, **at)]
            found.append(_event("content-end", **at))
        plan = pieces(message.get("tool_plan", ""))
        found += [_said("tool-plan-delta", {"tool_plan": each}) for each in plan]
        for index, call in enumerate(message.get("tool_calls", ())):
            function = {**call["function"], "arguments": ""}
            begin = {"tool_calls": {**call, "function": function}}
            found.append(_said("tool-call-start", begin, index=index))
            for each in pieces(call["function"]["arguments"]):
                function = {"arguments": each}
                grown_ = {"tool_calls": {"function": function}}
                found.append(_said("tool-call-delta", grown_, index=index))
            found.append(_event("tool-call-end", index=index))
        end = {"finish_reason": whole["finish_reason"], "usage": whole["usage"]}
        return [*found, _event("message-end", delta=end)]

    def said(self, answer: dict[str, Any]) -> Said:
        message = answer["message"]
        said = Said(
            text=message.get("tool_plan", ""),
            calls=[
                (each["function"]["name"], json.loads(each["function"]["arguments"]))
                for each in message.get("tool_calls", ())
            ],
            stop=_STOPS[answer["finish_reason"]],
            raw=message,
        )
        for block in message.get("content", ()):
            said.text += block.get("text", "")
            said.thought += block.get("thinking", "")
        usage = answer["usage"]
        billed, tokens = usage["billed_units"], usage["tokens"]
        assert billed.keys() == tokens.keys() == {"input_tokens", "output_tokens"}
        said.usage = billed["input_tokens"], billed["output_tokens"], usage["cached_tokens"]
        return said

    def streamed(self, body: bytes) -> Said:
        events = [json.loads(line) for line in data_of(body)]
        assert events[0]["type"] == "message-start"
        end = events[-1]
        assert end["type"] == "message-end"
        content: dict[int, dict[str, Any]] = {}
        calls: dict[int, dict[str, Any]] = {}
        plan = ""
        for event in events[1:-1]:
            message = event.get("delta", {}).get("message", {})
            kind = event["type"]
            if kind == "content-start":
                content[event["index"]] = message["content"]
            elif kind == "content-delta":
                for name, text in message["content"].items():
                    content[event["index"]][name] += text
            elif kind == "tool-plan-delta":
                plan += message["tool_plan"]
            elif kind == "tool-call-start":
                calls[event["index"]] = message["tool_calls"]
            elif kind == "tool-call-delta":
                piece = message["tool_calls"]["function"]["arguments"]
                calls[event["index"]]["function"]["arguments"] += piece
        whole = {"content": [*content.values()], "tool_plan": plan, "tool_calls": [*calls.values()]}
        return self.said({"message": {"role": "assistant", **whole}, **end["delta"]})

    def error(self, message: str, *, too_long: bool = False) -> dict[str, Any]:
        said = f"{_LONG} cannot exceed 4081: {message}" if too_long else message
        return {"id": "e-1", "message": said}

    def told(self, body: dict[str, Any]) -> tuple[str, bool]:
        return body["message"], body["message"].startswith(_LONG)

    def broken(self, message: str) -> bytes:
        return _event("message-end", delta={"error": message, "finish_reason": "ERROR"})

    def breaks(self, body: bytes) -> str | None:
        last = json.loads(data_of(body)[-1])
        said: str | None = last.get("delta", {}).get("error")
        return said if last["type"] == "message-end" else None

    def call_id(self, raw: Any) -> str:
        return str(raw["tool_calls"][0]["id"])


def _event(kind: str, **members: Any) -> bytes:
    data = json.dumps({"type": kind, **members}).encode()
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


def _said(kind: str, message: dict[str, Any], **members: Any) -> bytes:
    return _event(kind, **members, delta={"message": message})


def _usage(said: Said) -> dict[str, Any]:
    taken, given, cached = said.usage
    counts = {"input_tokens": taken, "output_tokens": given}
    return {"billed_units": counts, "tokens": counts, "cached_tokens": cached}


def _messages(turn: Turn) -> list[dict[str, Any]]:
    if turn.role == "raw":
        return [turn.raw]
    if turn.role == "results":
        return [
            {"role": "tool", "tool_call_id": id, "content": text} for id, text, _ in turn.results
        ]
    message: dict[str, Any] = {"role": turn.role, "content": turn.text}
    if turn.images:
        parts: list[dict[str, Any]] = [{"type": "text", "text": turn.text}]
        for kind, data in turn.images:
            url = data if kind == "url" else f"data:{kind};base64,{data}"
            parts.append({"type": "image_url", "image_url": {"url": url}})
        message["content"] = parts
    if turn.calls:
        message |= {"tool_plan": message.pop("content")} if turn.text else {}
        message["tool_calls"] = [
            {**chat_call(name, arguments), "id": id} for id, name, arguments in turn.calls
        ]
    return [message]


def _turn(message: dict[str, Any]) -> Turn:
    content = message.get("content") or []
    parts: list[dict[str, Any]] = (
        [{"type": "text", "text": content}] if isinstance(content, str) else content
    )
    text = message.get("tool_plan", "") + "".join(part.get("text", "") for part in parts)
    documents = [part["document"]["data"] for part in parts if part["type"] == "document"]
    text += "".join(each if isinstance(each, str) else json.dumps(each) for each in documents)
    if message["role"] == "tool":
        return Turn("results", results=[(message["tool_call_id"], text, False)])
    images: list[tuple[str, str]] = []
    for part in parts:
        if part["type"] == "image_url":
            url = part["image_url"]["url"]
            kind, _, data = url.removeprefix("data:").partition(";base64,")
            images.append((kind, data) if data else ("url", url))
    calls = [
        (each["id"], each["function"]["name"], json.loads(each["function"]["arguments"]))
        for each in message.get("tool_calls", ())
    ]
    return Turn(message["role"], text, images, calls)
