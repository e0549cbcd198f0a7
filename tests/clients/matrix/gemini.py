"""Google's Gemini API: model and method stand in the path."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any, Final

from ..model import SIGNATURE
from .spoken import Asked, Said, Spoken, Turn, data_of

_STOPS: Final = {"STOP": "end", "MAX_TOKENS": "length", "SAFETY": "refusal"}
_REASONS: Final = {"length": "MAX_TOKENS", "refusal": "SAFETY"}
_LONG: Final = "The input token count exceeds the maximum number of tokens allowed"
_MODES: Final = {"auto": "AUTO", "none": "NONE", "any": "ANY"}


class Gemini(Spoken):
    name = "gemini"
    path = "/v1beta/models/{model}:{method}"
    later_instructions = parallel = False
    state = SIGNATURE

    def asks(self, model: str, *, stream: bool) -> str:
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return self.path.format(model=model, method=method)

    def request(self, asked: Asked) -> dict[str, Any]:
        turns = list(asked.turns)
        body: dict[str, Any] = {}
        if turns[0].role == "system":
            body["systemInstruction"] = {"parts": [{"text": turns.pop(0).text}]}
        names = {id: name for turn in turns for id, name, _ in turn.calls}
        body["contents"] = [_content(turn, names) for turn in turns]
        if asked.tools:
            schema = {"type": "object"}
            functions = [{"name": name, "parametersJsonSchema": schema} for name in asked.tools]
            body["tools"] = [{"functionDeclarations": functions}]
        if asked.choice:
            config: dict[str, Any] = {"mode": _MODES.get(asked.choice, "ANY")}
            if asked.choice not in _MODES:
                config["allowedFunctionNames"] = [asked.choice]
            body["toolConfig"] = {"functionCallingConfig": config}
        config = {}
        if asked.schema is not None:
            config = {"responseMimeType": "application/json", "responseJsonSchema": asked.schema}
        if asked.thinks:
            config["thinkingConfig"] = {"thinkingBudget": 1024, "includeThoughts": True}
        if asked.stop:
            config["stopSequences"] = asked.stop
        return body | ({"generationConfig": config} if config else {})

    def asked(self, body: dict[str, Any]) -> Asked:
        system = (body.get("systemInstruction") or {}).get("parts", [])
        turns = [Turn("system", part["text"]) for part in system]
        turns += [each for content in body["contents"] for each in _turns(content)]
        config = body.get("generationConfig", {})
        choice = (body.get("toolConfig") or {}).get("functionCallingConfig", {})
        named = choice.get("allowedFunctionNames") or [choice.get("mode", "").lower()]
        return Asked(
            turns=turns,
            tools=[
                each["name"]
                for tool in body.get("tools", ())
                for each in tool["functionDeclarations"]
            ],
            choice=named[0],
            schema=config.get("responseJsonSchema"),
            thinks=config.get("thinkingConfig", {}).get("includeThoughts", False),
            stop=config.get("stopSequences", []),
            stream=bool(body.get("stream")),
        )

    def answer(self, said: Said) -> dict[str, Any]:
        parts: list[dict[str, Any]] = []
        if said.thought:
            parts.append({"text": said.thought, "thought": True})
        if said.text:
            parts.append({"text": said.text})
        for name, arguments in said.calls:
            parts.append({"functionCall": {"name": name, "args": arguments}})
            if said.thought:
                parts[-1]["thoughtSignature"] = SIGNATURE
        taken, given, cached = said.usage
        counts = {"promptTokenCount": taken, "candidatesTokenCount": given}
        candidate: dict[str, Any] = {
            "content": {"parts": parts, "role": "model"},
            "finishReason": _REASONS.get(said.stop, "STOP"),
            "index": 0,
        }
        if said.refusal:
            candidate["finishMessage"] = said.refusal
        return {
            "candidates": [candidate],
            "usageMetadata": {
                **counts,
                "cachedContentTokenCount": cached,
                "totalTokenCount": taken + given,
            },
            "modelVersion": "real-model",
            "responseId": "r_1",
        }

    def events(self, said: Said) -> list[bytes]:
        whole = self.answer(said)
        [candidate] = whole.pop("candidates")
        parts: list[dict[str, Any]] = []
        for part in candidate["content"]["parts"]:
            text = part.get("text", "")
            parts += [{**part, "text": text[at : at + 4]} for at in range(0, len(text), 4)]
            parts += [] if text else [part]
        chunks = [{"content": {"parts": [part], "role": "model"}, "index": 0} for part in parts]
        chunks.append({**candidate, "content": {"parts": [{"text": ""}], "role": "model"}})
        return [_event({"candidates": [each], **whole}) for each in chunks]

    def said(self, answer: dict[str, Any]) -> Said:
        types = import_module("google.genai.types")
        found = types.GenerateContentResponse.model_validate_json(json.dumps(answer))
        [candidate] = found.candidates
        said = Said(
            stop=_STOPS[candidate.finish_reason.value],
            raw=answer["candidates"][0]["content"]["parts"],
            refusal=candidate.finish_message or "",
        )
        for part in candidate.content.parts:
            if part.function_call is not None:
                said.calls.append((part.function_call.name, part.function_call.args))
            elif part.thought:
                said.thought += part.text
            else:
                said.text += part.text or ""
        usage = found.usage_metadata
        output = usage.candidates_token_count + (usage.thoughts_token_count or 0)
        assert usage.total_token_count == usage.prompt_token_count + output
        cached = usage.cached_content_token_count or 0
        said.usage = usage.prompt_token_count, output, cached
        if said.calls and said.stop == "end":
            said.stop = "calls"
        return said

    def streamed(self, body: bytes) -> Said:
        events = [json.loads(line) for line in data_of(body)]
        last = events[-1]
        parts = [part for event in events for part in event["candidates"][0]["content"]["parts"]]
        last["candidates"][0]["content"]["parts"] = parts
        return self.said(last)

    def error(self, message: str, *, too_long: bool = False) -> dict[str, Any]:
        said = f"{_LONG}: {message}" if too_long else message
        return {"error": {"code": 400, "message": said, "status": "INVALID_ARGUMENT"}}

    def told(self, body: dict[str, Any]) -> tuple[str, bool]:
        message = body["error"]["message"]
        assert body["error"]["status"]
        return message, message.startswith(_LONG)

    def broken(self, message: str) -> bytes:
        return _event({"error": {"code": 500, "message": message, "status": "INTERNAL"}})

    def breaks(self, body: bytes) -> str | None:
        last = json.loads(data_of(body)[-1])
        return last["error"]["message"] if "error" in last else None

    def call_id(self, raw: Any) -> str:
        call = next(each["functionCall"] for each in raw if "functionCall" in each)
        return str(call.get("id", "c"))


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\r\n\r\n"


def _content(turn: Turn, names: dict[str, str]) -> dict[str, Any]:
    if turn.role == "raw":
        return {"role": "model", "parts": turn.raw}
    parts: list[dict[str, Any]] = [{"text": turn.text}] if turn.text else []
    pictures = [_image(each) for each in turn.images]
    for id, text, failed in turn.results:
        response = {"error" if failed else "output": text}
        found = {"id": id, "name": names.get(id, "f"), "response": response}
        parts.append({"functionResponse": {**found, **({"parts": pictures} if pictures else {})}})
        pictures = []
    parts += pictures
    parts += [
        {"functionCall": {"id": id, "name": name, "args": arguments}}
        for id, name, arguments in turn.calls
    ]
    return {"role": "model" if turn.role == "assistant" else "user", "parts": parts}


def _image(image: tuple[str, str]) -> dict[str, Any]:
    kind, data = image
    if kind == "url":
        return {"fileData": {"fileUri": data, "mimeType": "image/png"}}
    return {"inlineData": {"mimeType": kind, "data": data}}


def _turns(content: dict[str, Any]) -> list[Turn]:
    results = Turn("results")
    rest = Turn("assistant" if content.get("role") == "model" else "user")
    for part in content["parts"]:
        if "functionResponse" in part:
            found = part["functionResponse"]
            [(name, text)] = found["response"].items()
            results.results.append((found["id"], text, name == "error"))
            inner = [each["inlineData"] for each in found.get("parts", ())]
            results.images += [(each["mimeType"], each["data"]) for each in inner]
        elif "functionCall" in part:
            call = part["functionCall"]
            rest.calls.append((call.get("id", ""), call["name"], call["args"]))
        elif "inlineData" in part:
            media = part["inlineData"]
            rest.images.append((media["mimeType"], media["data"]))
        elif "fileData" in part:
            rest.images.append(("url", part["fileData"]["fileUri"]))
        elif not part.get("thought"):
            rest.text += part["text"]
    return [results, rest] if results.results else [rest]
