"""OpenAI's Responses."""

from __future__ import annotations

import json
from typing import Any

from tests.late import openai, response_event

from ..model import ENCRYPTED, response_events, response_of
from .spoken import Asked, Said, Spoken, Turn, data_of


class Responses(Spoken):
    name = "responses"
    path = "/v1/responses"
    stops = False
    state = ENCRYPTED

    def request(self, asked: Asked) -> dict[str, Any]:
        turns = list(asked.turns)
        body: dict[str, Any] = {"model": f"to-{self.name}", "store": False}
        if turns[0].role == "system":
            body["instructions"] = turns.pop(0).text
        body["input"] = [item for turn in turns for item in _items(turn)]
        if asked.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "name": name,
                    "parameters": {"type": "object"},
                    "strict": False,
                }
                for name in asked.tools
            ]
        if asked.choice in ("auto", "none"):
            body["tool_choice"] = asked.choice
        elif asked.choice == "any":
            body["tool_choice"] = "required"
        elif asked.choice:
            body["tool_choice"] = {"type": "function", "name": asked.choice}
        if asked.parallel is not None:
            body["parallel_tool_calls"] = asked.parallel
        if asked.schema is not None:
            form = {"type": "json_schema", "name": "answer", "schema": asked.schema}
            body["text"] = {"format": {**form, "strict": True}}
        if asked.thinks:
            body["reasoning"] = {"effort": "low", "summary": "auto"}
            body["include"] = ["reasoning.encrypted_content"]
        if asked.stream:
            body["stream"] = True
        return body

    def asked(self, body: dict[str, Any]) -> Asked:
        turns = [Turn("system", body["instructions"])] if body.get("instructions") else []
        items = body["input"]
        if isinstance(items, str):
            items = [{"role": "user", "content": items}]
        choice = body.get("tool_choice") or ""
        if isinstance(choice, dict):
            choice = choice["name"]
        form = (body.get("text") or {}).get("format") or {}
        return Asked(
            turns=[*turns, *(turn for item in items if (turn := _turn(item)) is not None)],
            tools=[each["name"] for each in body.get("tools", ())],
            choice="any" if choice == "required" else choice,
            parallel=body.get("parallel_tool_calls"),
            schema=form.get("schema"),
            # Without an effort it is that of the model.
            thinks=(body.get("reasoning") or {"effort": "none"}).get("effort") != "none",
            stream=bool(body.get("stream")),
        )

    def answer(self, said: Said) -> dict[str, Any]:
        output: list[dict[str, Any]] = []
        if said.thought:
            summary = [{"type": "summary_text", "text": said.thought}]
            thought = {"type": "reasoning", "id": "rs_1", "summary": summary}
            output.append({**thought, "encrypted_content": ENCRYPTED, "status": "completed"})
        if said.text or said.refusal:
            part: dict[str, Any] = {"type": "refusal", "refusal": said.refusal}
            if said.text:
                part = {"type": "output_text", "text": said.text, "annotations": []}
                part["logprobs"] = []
            spoken = {"type": "message", "id": "msg_1", "role": "assistant"}
            output.append({**spoken, "status": "completed", "content": [part]})
        output += [
            {
                "type": "function_call",
                "id": f"fc_{n}",
                "call_id": f"call_{n}",
                "name": name,
                "arguments": json.dumps(arguments),
                "status": "completed",
            }
            for n, (name, arguments) in enumerate(said.calls)
        ]
        found = response_of(output)
        taken, given, cached = said.usage
        found["usage"] |= {"input_tokens": taken, "output_tokens": given}
        found["usage"] |= {"total_tokens": taken + given}
        found["usage"]["input_tokens_details"]["cached_tokens"] = cached
        if said.stop == "length":
            found |= {"status": "incomplete"}
            found["incomplete_details"] = {"reason": "max_output_tokens"}
        return found

    def events(self, said: Said) -> list[bytes]:
        return list(response_events(self.answer(said)))

    def said(self, answer: dict[str, Any]) -> Said:
        response = openai.types.responses.Response.model_validate(answer)
        said = Said(raw=answer["output"])
        for item in response.output:
            if item.type == "message":
                for part in item.content:
                    if part.type == "output_text":
                        said.text += part.text
                    else:
                        said.refusal += part.refusal
            elif item.type == "reasoning":
                said.thought += "".join(part.text for part in item.summary)
                said.thought += "".join(part.text for part in item.content or ())
            elif item.type == "function_call":
                said.calls.append((item.name, json.loads(item.arguments)))
        details = response.incomplete_details
        reasons = {"max_output_tokens": "length", "content_filter": "refusal"}
        if details is not None and details.reason is not None:
            assert response.status == "incomplete"
            said.stop = reasons[details.reason]
        elif said.refusal:
            said.stop = "refusal"
        elif said.calls:
            said.stop = "calls"
        usage = response.usage
        assert usage is not None
        cached = usage.input_tokens_details.cached_tokens
        said.usage = usage.input_tokens, usage.output_tokens, cached
        return said

    def streamed(self, body: bytes) -> Said:
        events = [json.loads(line) for line in data_of(body)]
        for number, event in enumerate(events):
            response_event().validate_python(event)
            assert event["sequence_number"] == number
        last = events[-1]
        assert last["type"] == f"response.{last['response']['status']}", last
        said = self.said(last["response"])
        deltas = [each["delta"] for each in events if each["type"].endswith("output_text.delta")]
        assert "".join(deltas) == said.text
        return said

    def error(self, message: str, *, too_long: bool = False) -> dict[str, Any]:
        code = "context_length_exceeded" if too_long else "bad"
        kind = "invalid_request_error"
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}

    def told(self, body: dict[str, Any]) -> tuple[str, bool]:
        return body["error"]["message"], body["error"]["code"] == "context_length_exceeded"

    def broken(self, message: str) -> bytes:
        failed = response_of([]) | {"status": "failed", "usage": None}
        failed["error"] = {"code": "server_error", "message": message}
        event = {"type": "response.failed", "sequence_number": 99, "response": failed}
        return b"event: response.failed\ndata: " + json.dumps(event).encode() + b"\n\n"

    def breaks(self, body: bytes) -> str | None:
        last = json.loads(data_of(body)[-1])
        if last["type"] != "response.failed":
            return None
        message: str = last["response"]["error"]["message"]
        return message

    def call_id(self, raw: Any) -> str:
        return str(raw[-1]["call_id"])


def _items(turn: Turn) -> list[dict[str, Any]]:
    if turn.role == "raw":
        items: list[dict[str, Any]] = turn.raw
        return items
    if turn.role == "results":
        found = [
            {"type": "function_call_output", "call_id": id, "output": text}
            for id, text, _ in turn.results
        ]
        if turn.images:
            said = {"type": "input_text", "text": found[-1]["output"]}
            parts: Any = [said, *map(_image, turn.images)]
            found[-1]["output"] = parts
        return found
    kind = "output_text" if turn.role == "assistant" else "input_text"
    content: list[dict[str, Any]] = [{"type": kind, "text": turn.text}] if turn.text else []
    content += map(_image, turn.images)
    message = [{"type": "message", "role": turn.role, "content": content}] if content else []
    return message + [
        {"type": "function_call", "call_id": id, "name": name, "arguments": json.dumps(arguments)}
        for id, name, arguments in turn.calls
    ]


def _image(image: tuple[str, str]) -> dict[str, Any]:
    kind, data = image
    url = data if kind == "url" else f"data:{kind};base64,{data}"
    return {"type": "input_image", "image_url": url, "detail": "auto"}


def _turn(item: dict[str, Any]) -> Turn | None:
    kind = item.get("type", "message")
    if kind == "function_call":
        arguments = json.loads(item["arguments"])
        return Turn("assistant", calls=[(item["call_id"], item["name"], arguments)])
    if kind == "function_call_output":
        text, images = _parts(item["output"])
        return Turn("results", images=images, results=[(item["call_id"], text, False)])
    if kind != "message":
        return None
    text, images = _parts(item["content"])
    role = "system" if item["role"] == "developer" else item["role"]
    return Turn(role, text, images)


def _parts(content: Any) -> tuple[str, list[tuple[str, str]]]:
    if isinstance(content, str):
        return content, []
    images = []
    for part in content:
        if part["type"] == "input_image":
            url = part["image_url"]
            kind, _, data = url.removeprefix("data:").partition(";base64,")
            images.append((kind, data) if data else ("url", url))
    return "".join(part.get("text", "") for part in content), images
