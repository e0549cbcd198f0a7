"""Ollama's chats: lines of JSON, calls without ids, and no word for much."""

from __future__ import annotations

import json
from typing import Any, Final

from .spoken import Asked, Said, Spoken, Turn

_REASONS: Final = {"length": "length", "refusal": "refusal"}
_LONG: Final = "the input length exceeds the context length"


class Ollama(Spoken):
    name = "ollama"
    path = "/api/chat"
    streams_as = "application/x-ndjson"
    url_images = result_images = parallel = ids = caches = refuses = carries = False
    choices = ()

    def chosen(self, choice: str, tools: list[str]) -> tuple[str, list[str]] | None:
        if choice == "none":
            return "", []
        return ("", tools) if choice == "auto" else None

    def request(self, asked: Asked) -> dict[str, Any]:
        names = {id: name for turn in asked.turns for id, name, _ in turn.calls}
        messages = [each for turn in asked.turns for each in _messages(turn, names)]
        body: dict[str, Any] = {"model": f"to-{self.name}", "messages": messages}
        if asked.tools:
            body["tools"] = [
                {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
                for name in asked.tools
            ]
        if asked.schema is not None:
            body["format"] = asked.schema
        if asked.thinks:
            body["think"] = True
        if asked.stop:
            body["options"] = {"stop": asked.stop}
        # Without a word it streams.
        return body if asked.stream else {**body, "stream": False}

    def asked(self, body: dict[str, Any]) -> Asked:
        return Asked(
            turns=[_turn(each) for each in body["messages"]],
            tools=[each["function"]["name"] for each in body.get("tools", ())],
            schema=body.get("format"),
            thinks=bool(body.get("think")),
            stop=body.get("options", {}).get("stop", []),
            stream=bool(body.get("stream", True)),
        )

    def answer(self, said: Said) -> dict[str, Any]:
        return {**_line(_message(said)), "done": True, **_end(said)}

    def events(self, said: Said) -> list[bytes]:
        text = said.text or said.refusal
        found = [_line({"thinking": said.thought})] if said.thought else []
        found += [_line({"content": text[at : at + 4]}) for at in range(0, len(text), 4)]
        found += [_line({"tool_calls": [each]}) for each in _calls(said)]
        found.append({**_line({}), "done": True, **_end(said)})
        return [json.dumps(each).encode() + b"\n" for each in found]

    def said(self, answer: dict[str, Any]) -> Said:
        message = answer["message"]
        assert answer["done"] is True
        calls = message.get("tool_calls") or ()
        stop = _REASONS.get(answer["done_reason"], "calls" if calls else "end")
        return Said(
            text=message.get("content", ""),
            calls=[(each["function"]["name"], each["function"]["arguments"]) for each in calls],
            stop=stop,
            usage=(answer["prompt_eval_count"], answer["eval_count"], 0),
            thought=message.get("thinking", ""),
            raw=message,
        )

    def streamed(self, body: bytes) -> Said:
        lines = [json.loads(line) for line in body.split(b"\n") if line]
        whole: dict[str, Any] = {"role": "assistant", "content": "", "thinking": ""}
        whole["tool_calls"] = []
        for line in lines:
            message = line["message"]
            for name in ("content", "thinking"):
                whole[name] += message.get(name, "")
            whole["tool_calls"] += message.get("tool_calls", [])
        return self.said({**lines[-1], "message": whole})

    def error(self, message: str, *, too_long: bool = False) -> dict[str, Any]:
        return {"error": f"{_LONG}: {message}" if too_long else message}

    def told(self, body: dict[str, Any]) -> tuple[str, bool]:
        # Programs read no more than the text; the code is the gateway's own.
        long = body["error"].startswith(_LONG) or body.get("code") == "context_length_exceeded"
        return body["error"], long

    def broken(self, message: str) -> bytes:
        return json.dumps({"error": message}).encode() + b"\n"

    def breaks(self, body: bytes) -> str | None:
        lines = [json.loads(line) for line in body.split(b"\n") if line]
        said: str | None = lines[-1].get("error")
        return said

    def call_id(self, raw: Any) -> str:
        # What a result is of, its tool's name says.
        return str(raw["tool_calls"][0]["function"]["name"])


def _line(message: dict[str, Any]) -> dict[str, Any]:
    whole = {"role": "assistant", "content": "", **message}
    return {"model": "real", "created_at": "2025-01-01T00:00:00Z", "message": whole, "done": False}


def _calls(said: Said) -> list[dict[str, Any]]:
    return [{"function": {"name": name, "arguments": given}} for name, given in said.calls]


def _message(said: Said) -> dict[str, Any]:
    found: dict[str, Any] = {"content": said.text or said.refusal}
    if said.thought:
        found["thinking"] = said.thought
    return {**found, "tool_calls": _calls(said)} if said.calls else found


def _end(said: Said) -> dict[str, Any]:
    taken, given, _ = said.usage
    reason = "length" if said.stop == "length" else "stop"
    return {"done_reason": reason, "prompt_eval_count": taken, "eval_count": given}


def _messages(turn: Turn, names: dict[str, str]) -> list[dict[str, Any]]:
    if turn.role == "raw":
        return [turn.raw]
    if turn.role == "results":
        return [
            {"role": "tool", "tool_name": names.get(id, id), "content": text}
            for id, text, _ in turn.results
        ]
    message: dict[str, Any] = {"role": turn.role, "content": turn.text}
    if turn.images:
        message["images"] = [data for _, data in turn.images]
    if turn.calls:
        message["tool_calls"] = [
            {"function": {"name": name, "arguments": arguments}}
            for _, name, arguments in turn.calls
        ]
    return [message]


def _turn(message: dict[str, Any]) -> Turn:
    images = [("image/png", data) for data in message.get("images", ())]
    if message["role"] == "tool":
        results = [(message.get("tool_name", ""), message["content"], False)]
        return Turn("results", images=images, results=results)
    calls = [
        ("", each["function"]["name"], each["function"]["arguments"])
        for each in message.get("tool_calls", ())
    ]
    return Turn(message["role"], message.get("content", ""), images, calls)
