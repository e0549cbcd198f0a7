"""OpenAI's chat completions."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.late import openai

from ...end_to_end.wire import DONE, completion, event
from ..model import chat_call, pieces
from .spoken import Asked, Said, Spoken, Turn, data_of

_STOPS: Final = {
    "stop": "end",
    "length": "length",
    "tool_calls": "calls",
    "content_filter": "refusal",
}
_REASONS: Final = {"end": "stop", "sequence": "stop", "length": "length", "calls": "tool_calls"}


class Chat(Spoken):
    name = "chat"
    path = "/v1/chat/completions"
    result_images = False

    def request(self, asked: Asked) -> dict[str, Any]:
        body: dict[str, Any] = {"model": f"to-{self.name}", "messages": []}
        for turn in asked.turns:
            body["messages"] += _messages(turn)
        if asked.tools:
            body["tools"] = [
                {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
                for name in asked.tools
            ]
        if asked.choice in ("auto", "none"):
            body["tool_choice"] = asked.choice
        elif asked.choice == "any":
            body["tool_choice"] = "required"
        elif asked.choice:
            body["tool_choice"] = {"type": "function", "function": {"name": asked.choice}}
        if asked.parallel is not None:
            body["parallel_tool_calls"] = asked.parallel
        if asked.schema is not None:
            schema = {"name": "answer", "schema": asked.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if asked.thinks:
            body["reasoning_effort"] = "low"
        if asked.stop:
            body["stop"] = asked.stop
        if asked.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    def asked(self, body: dict[str, Any]) -> Asked:
        choice = body.get("tool_choice", "")
        if isinstance(choice, dict):
            choice = choice["function"]["name"]
        form = body.get("response_format") or {}
        return Asked(
            turns=[_turn(each) for each in body["messages"]],
            tools=[each["function"]["name"] for each in body.get("tools", ())],
            choice="any" if choice == "required" else choice,
            parallel=body.get("parallel_tool_calls"),
            schema=form["json_schema"]["schema"] if form.get("type") == "json_schema" else None,
            thinks=body.get("reasoning_effort") not in (None, "none"),
            stop=body.get("stop", []),
            stream=bool(body.get("stream")),
        )

    def answer(self, said: Said) -> dict[str, Any]:
        found = completion(said.text, usage=_usage(said))
        choice = found["choices"][0]
        choice["finish_reason"] = "stop" if said.stop == "refusal" else _REASONS[said.stop]
        if said.calls:
            calls = [{**chat_call(*call), "id": f"call_{n}"} for n, call in enumerate(said.calls)]
            choice["message"]["tool_calls"] = calls
        if said.thought:
            choice["message"]["reasoning_content"] = said.thought
        if said.refusal:
            choice["message"] |= {"content": None, "refusal": said.refusal}
        return found

    def events(self, said: Said) -> list[bytes]:
        found = [event({"role": "assistant", "content": ""})]
        if said.thought:
            found.append(event({"reasoning_content": said.thought}))
        found += [event({"content": each}) for each in pieces(said.text)]
        found += [event({"refusal": each}) for each in pieces(said.refusal)]
        for index, call in enumerate(said.calls):
            first = {**chat_call(*call), "id": f"call_{index}", "index": index}
            arguments = first["function"]["arguments"]
            first["function"]["arguments"] = ""
            found.append(event({"tool_calls": [first]}))
            found += [
                event({"tool_calls": [{"index": index, "function": {"arguments": each}}]})
                for each in pieces(arguments)
            ]
        found.append(event({}, "stop" if said.stop == "refusal" else _REASONS[said.stop]))
        return [*found, event(choices=[], usage=_usage(said)), DONE]

    def said(self, answer: dict[str, Any]) -> Said:
        openai.types.chat.ChatCompletion.model_validate(answer, strict=True)
        choice = answer["choices"][0]
        message: dict[str, Any] = choice["message"]
        usage = answer["usage"]
        calls = message.get("tool_calls") or []
        refusal = message.get("refusal") or ""
        return Said(
            text=message.get("content") or "",
            calls=[
                (each["function"]["name"], json.loads(each["function"]["arguments"]))
                for each in calls
            ],
            stop="refusal" if refusal else _STOPS[choice["finish_reason"]],
            usage=_counted(usage),
            thought=message.get("reasoning_content") or "",
            refusal=refusal,
            raw=message,
        )

    def streamed(self, body: bytes) -> Said:
        *chunks, last = data_of(body)
        assert last == "[DONE]", last
        said, calls, reason = Said(), dict[int, list[Any]](), ""
        for line in chunks:
            chunk = json.loads(line)
            openai.types.chat.ChatCompletionChunk.model_validate(chunk, strict=True)
            if chunk.get("usage"):
                said.usage = _counted(chunk["usage"])
            for choice in chunk["choices"]:
                delta = choice["delta"]
                said.text += delta.get("content") or ""
                said.thought += delta.get("reasoning_content") or ""
                said.refusal += delta.get("refusal") or ""
                reason = choice["finish_reason"] or reason
                for call in delta.get("tool_calls") or ():
                    function = call["function"]
                    begun = calls.setdefault(call["index"], [function.get("name"), ""])
                    begun[1] += function.get("arguments") or ""
        said.calls = [(name, json.loads(text)) for name, text in calls.values()]
        said.stop = "refusal" if said.refusal else _STOPS[reason]
        return said

    def error(self, message: str, *, too_long: bool = False) -> dict[str, Any]:
        code = "context_length_exceeded" if too_long else "bad"
        kind = "invalid_request_error"
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}

    def told(self, body: dict[str, Any]) -> tuple[str, bool]:
        error = body["error"]
        assert error.keys() >= {"message", "type", "param", "code"}
        return error["message"], error["code"] == "context_length_exceeded"

    def broken(self, message: str) -> bytes:
        error = {"message": message, "type": "server_error", "code": "server_error"}
        return b"data: " + json.dumps({"error": error}).encode() + b"\n\n"

    def breaks(self, body: bytes) -> str | None:
        last = data_of(body)[-1]
        return None if last == "[DONE]" else json.loads(last).get("error", {}).get("message")

    def call_id(self, raw: Any) -> str:
        return str(raw["tool_calls"][0]["id"])


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
        message["tool_calls"] = [
            {**chat_call(name, arguments), "id": id} for id, name, arguments in turn.calls
        ]
    return [message]


def _turn(message: dict[str, Any]) -> Turn:
    content = message.get("content")
    parts: list[dict[str, Any]] = (
        content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
    )
    text = "".join(part.get("text", "") for part in parts)
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
        for each in message.get("tool_calls") or ()
    ]
    role = "system" if message["role"] == "developer" else message["role"]
    return Turn(role, text, images, calls)


def _usage(said: Said) -> dict[str, Any]:
    taken, given, cached = said.usage
    return {
        "prompt_tokens": taken,
        "completion_tokens": given,
        "total_tokens": taken + given,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def _counted(usage: dict[str, Any]) -> tuple[int, int, int]:
    details = usage.get("prompt_tokens_details") or {}
    return usage["prompt_tokens"], usage["completion_tokens"], details.get("cached_tokens") or 0
