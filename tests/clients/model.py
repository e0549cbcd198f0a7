"""A model behind each of four APIs: it calls a tool once, and tells what came of it.

It reads what real clients send, so it looks at little: which tools there are, and what the last
thing said is. What it answers is what each vendor's API says, event by event.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from ..end_to_end.provider import Asked
from ..end_to_end.wire import DONE, Script, completion, event, streamed, usage_event, whole

# The name and the arguments of a call, made from the names of the tools that are offered; None if
# there is none to make.
Choose = Callable[[list[str]], tuple[str, dict[str, Any]] | None]

THOUGHT: Final = "I should use a tool."
SIGNATURE: Final = "c2lnbmVk"
ENCRYPTED: Final = "ZW5jcnlwdGVk"


class ScriptedModel:
    """Answers by `choose`; `seen` are the results of tools that it was told."""

    def __init__(self, choose: Choose, *, thinks: bool = True) -> None:
        self.choose = choose
        self.thinks = thinks
        # What it says of each prompt's length.
        self.prompt_tokens = 19
        self.seen: list[str] = []

    def __call__(self, asked: Asked) -> Script:
        path = asked.target.partition("?")[0]
        if path.endswith("/chat/completions"):
            return self._chat(asked.json)
        if path.endswith("/messages"):
            return self._messages(asked.json)
        if path.endswith("/responses"):
            return self._responses(asked.json)
        if path.endswith(":generateContent"):
            return [(0.0, whole(200, self._gemini(asked.json)))]
        if path.endswith(":streamGenerateContent"):
            return streamed(content_events(self._gemini(asked.json)))
        return [(0.0, whole(404, {"error": {"message": f"nothing at {path}"}}))]

    def _call(self, names: list[str], result: str | None) -> tuple[str, dict[str, Any]] | None:
        if result is not None:
            self.seen.append(result)
            return None
        return self.choose(names)

    def _chat(self, body: dict[str, Any]) -> Script:
        names = [each["function"]["name"] for each in body.get("tools") or ()]
        last = body["messages"][-1]
        result = _text(last["content"]) if last["role"] == "tool" else None
        call = self._call(names, result)
        text = text_of(result)
        if not body.get("stream"):
            found = completion(text)
            if call is not None:
                choice = found["choices"][0]
                choice["finish_reason"] = "tool_calls"
                choice["message"]["tool_calls"] = [chat_call(*call)]
            return [(0.0, whole(200, found))]
        asks = bool((body.get("stream_options") or {}).get("include_usage"))
        events = [event({"role": "assistant", "content": ""})]
        if self.thinks and call is not None:
            events.append(event({"reasoning_content": THOUGHT}))
        events += [event({"content": piece}) for piece in pieces(text)]
        if call is not None:
            first = chat_call(*call)
            arguments = first["function"]["arguments"]
            first["function"]["arguments"] = ""
            events.append(event({"tool_calls": [{"index": 0, **first}]}))
            events += [
                event({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
                for piece in pieces(arguments)
            ]
        events.append(event({}, "stop" if call is None else "tool_calls"))
        return streamed([*events, *([usage_event(self.prompt_tokens, 10)] if asks else []), DONE])

    def _messages(self, body: dict[str, Any]) -> Script:
        names = [each["name"] for each in body.get("tools") or ()]
        last = next(each for each in reversed(body["messages"]) if each["role"] == "user")
        content = last["content"] if isinstance(last["content"], list) else []
        results = [each for each in content if each["type"] == "tool_result"]
        result = _text(results[-1].get("content", "")) if results else None
        call = self._call(names, result)
        asks = (body.get("thinking") or {}).get("type") in ("enabled", "adaptive")
        blocks: list[dict[str, Any]] = []
        if self.thinks and asks and call is not None:
            blocks.append({"type": "thinking", "thinking": THOUGHT, "signature": SIGNATURE})
        blocks.append({"type": "text", "text": text_of(result)})
        if call is not None:
            name, arguments = call
            blocks.append({"type": "tool_use", "id": "toolu_1", "name": name, "input": arguments})
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "real-model",
            "content": blocks,
            "stop_reason": "end_turn" if call is None else "tool_use",
            "stop_sequence": None,
            "usage": {"input_tokens": self.prompt_tokens, "output_tokens": 10},
        }
        if not body.get("stream"):
            return [(0.0, whole(200, message))]
        return streamed(message_events(message))

    def _responses(self, body: dict[str, Any]) -> Script:
        names = [each.get("name", each["type"]) for each in body.get("tools") or ()]
        items = body["input"] if isinstance(body["input"], list) else []
        last = items[-1] if items else {}
        kinds = ("function_call_output", "custom_tool_call_output")
        result = _text(last["output"]) if last.get("type") in kinds else None
        call = self._call(names, result)
        output: list[dict[str, Any]] = []
        if self.thinks and body.get("reasoning") and call is not None:
            thought = {"type": "reasoning", "id": "rs_1", "summary": [], "status": "completed"}
            output.append({**thought, "encrypted_content": ENCRYPTED})
        part = {"type": "output_text", "text": text_of(result), "annotations": [], "logprobs": []}
        spoken = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
        output.append({**spoken, "content": [part]})
        if call is not None:
            name, arguments = call
            output.append(
                {
                    "type": "function_call",
                    "id": "fc_1",
                    "call_id": "call_1",
                    "name": name,
                    "arguments": json.dumps(arguments),
                    "status": "completed",
                }
            )
        response = response_of(output)
        response["usage"]["input_tokens"] = self.prompt_tokens
        response["usage"]["total_tokens"] = self.prompt_tokens + 10
        if not body.get("stream"):
            return [(0.0, whole(200, response))]
        return streamed(response_events(response))

    def _gemini(self, body: dict[str, Any]) -> dict[str, Any]:
        names = [
            each["name"]
            for tool in body.get("tools") or ()
            for each in tool.get("functionDeclarations") or tool.get("function_declarations") or ()
        ]
        parts = body["contents"][-1]["parts"]
        results = [each["functionResponse"] for each in parts if "functionResponse" in each]
        result = None
        if results:
            response = results[-1]["response"]
            result = str(response.get("output", response.get("result", json.dumps(response))))
        call = self._call(names, result)
        config = body.get("generationConfig") or {}
        asks = (config.get("thinkingConfig") or {}).get("includeThoughts")
        found: list[dict[str, Any]] = []
        if self.thinks and asks and call is not None:
            found.append({"text": THOUGHT, "thought": True})
        found.append({"text": text_of(result)})
        if call is not None:
            name, arguments = call
            part = {"functionCall": {"name": name, "args": arguments}}
            found.append({**part, "thoughtSignature": SIGNATURE})
        content = {"parts": found, "role": "model"}
        counts = {"promptTokenCount": 19, "candidatesTokenCount": 10, "totalTokenCount": 29}
        return {
            "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
            "usageMetadata": counts,
            "modelVersion": "real-model",
            "responseId": "r_1",
        }


def content_events(whole: dict[str, Any]) -> Iterator[bytes]:
    """Yield the events of Gemini's API that say what `whole` does."""
    [candidate] = whole["candidates"]
    about = {name: value for name, value in whole.items() if name != "candidates"}
    parts: list[dict[str, Any]] = []
    for part in candidate["content"]["parts"]:
        parts += [{**part, "text": each} for each in pieces(part.get("text", ""))]
        parts += [] if part.get("text") else [part]
    chunks = [{"content": {"parts": [part], "role": "model"}, "index": 0} for part in parts]
    end = {**candidate, "content": {"parts": [{"text": ""}], "role": "model"}}
    for chunk in (*chunks, end):
        yield b"data: %b\r\n\r\n" % json.dumps({"candidates": [chunk], **about}).encode()


def text_of(result: str | None) -> str:
    return "I will look." if result is None else f"The tool says: {result}"


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(each.get("text", "") for each in content)
    return str(content)


def pieces(text: str) -> list[str]:
    return [text[at : at + 7] for at in range(0, len(text), 7)]


def chat_call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": "call_1", "type": "function", "function": function}


def message_events(message: dict[str, Any]) -> Iterator[bytes]:
    def named(kind: str, **members: Any) -> bytes:
        data = json.dumps({"type": kind, **members}).encode()
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)

    yield named("message_start", message={**message, "content": [], "stop_reason": None})
    for index, block in enumerate(message["content"]):
        deltas: list[dict[str, Any]]
        if block["type"] == "text":
            begun: dict[str, Any] = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": each} for each in pieces(block["text"])]
        elif block["type"] == "thinking":
            begun = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [
                {"type": "thinking_delta", "thinking": block["thinking"]},
                {"type": "signature_delta", "signature": block["signature"]},
            ]
        else:
            begun = {**block, "input": {}}
            deltas = [
                {"type": "input_json_delta", "partial_json": each}
                for each in pieces(json.dumps(block["input"]))
            ]
        yield named("content_block_start", index=index, content_block=begun)
        for delta in deltas:
            yield named("content_block_delta", index=index, delta=delta)
        yield named("content_block_stop", index=index)
    end = {name: message[name] for name in ("stop_reason", "stop_sequence")}
    yield named("message_delta", delta=end, usage=message["usage"])
    yield named("message_stop")


def response_of(output: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1741569952,
        "status": "completed",
        "model": "real-model",
        "output": output,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "tools": [],
        "temperature": 1.0,
        "top_p": 1.0,
        "tool_choice": "auto",
        "store": False,
        "usage": {
            "input_tokens": 19,
            "output_tokens": 10,
            "total_tokens": 29,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
    }


def response_events(response: dict[str, Any]) -> Iterator[bytes]:
    events: list[tuple[str, dict[str, Any]]] = []
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    events += [("created", {"response": begun}), ("in_progress", {"response": begun})]
    for index, item in enumerate(response["output"]):
        place: dict[str, Any] = {"output_index": index}
        at: dict[str, Any] = {"item_id": item["id"], **place}
        if item["type"] == "message":
            part = {**at, "content_index": 0}
            content = item["content"][0]
            opened = {**item, "status": "in_progress", "content": []}
            events.append(("output_item.added", {**place, "item": opened}))
            # A text or a refusal, each under its own name.
            kind = "refusal" if content["type"] == "refusal" else "text"
            logs: dict[str, Any] = {} if kind == "refusal" else {"logprobs": []}
            name = "refusal" if kind == "refusal" else "output_text"
            events.append(("content_part.added", {**part, "part": {**content, kind: ""}}))
            events += [
                (f"{name}.delta", {**part, "delta": each, **logs}) for each in pieces(content[kind])
            ]
            events.append((f"{name}.done", {**part, kind: content[kind], **logs}))
            events.append(("content_part.done", {**part, "part": content}))
        elif item["type"] == "function_call":
            opened = {**item, "status": "in_progress", "arguments": ""}
            events.append(("output_item.added", {**place, "item": opened}))
            events += [
                ("function_call_arguments.delta", {**at, "delta": each})
                for each in pieces(item["arguments"])
            ]
            done = {**at, "name": item["name"], "arguments": item["arguments"]}
            events.append(("function_call_arguments.done", done))
        else:
            events.append(("output_item.added", {**place, "item": {**item, "summary": []}}))
            for number, part in enumerate(item["summary"]):
                spot = {**at, "summary_index": number}
                empty = {**part, "text": ""}
                events.append(("reasoning_summary_part.added", {**spot, "part": empty}))
                events.append(("reasoning_summary_text.delta", {**spot, "delta": part["text"]}))
                events.append(("reasoning_summary_text.done", {**spot, "text": part["text"]}))
                events.append(("reasoning_summary_part.done", {**spot, "part": part}))
        events.append(("output_item.done", {**place, "item": item}))
    events.append((response["status"], {"response": response}))
    for number, (name, members) in enumerate(events):
        kind = f"response.{name}"
        data = json.dumps({"type": kind, "sequence_number": number, **members}).encode()
        yield b"event: %b\ndata: %b\n\n" % (kind.encode(), data)
