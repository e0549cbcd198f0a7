"""Bedrock's Converse: the model stands in the path, and a stream is one of binary frames."""

from __future__ import annotations

import json
from typing import Any, Final

from gateway.core.dialects.bedrock_converse.frames import exception_frame

from ...core.dialects.bedrock_converse.frames import read_by_botocore, stream_of
from ...core.dialects.bedrock_converse.validating import validated
from ..model import SIGNATURE, pieces
from .spoken import Asked, Said, Spoken, Turn

_STOPS: Final = {
    "end_turn": "end",
    "max_tokens": "length",
    "tool_use": "calls",
    "stop_sequence": "sequence",
    "content_filtered": "refusal",
}
_REASONS: Final = {stop: reason for reason, stop in _STOPS.items()}
_LONG: Final = "Input is too long for requested model."


class Converse(Spoken):
    name = "converse"
    path = "/model/{model}/converse"
    streams_as = "application/vnd.amazon.eventstream"
    later_instructions = url_images = False
    choices = ("auto", "any", "g")
    tells_sequence = True
    parallel = False
    state = SIGNATURE

    def asks(self, model: str, *, stream: bool) -> str:
        return self.path.format(model=model) + ("-stream" if stream else "")

    def chosen(self, choice: str, tools: list[str]) -> tuple[str, list[str]] | None:
        return ("", []) if choice == "none" else (choice, tools)

    def request(self, asked: Asked) -> dict[str, Any]:
        turns = list(asked.turns)
        body: dict[str, Any] = {}
        if turns[0].role == "system":
            body["system"] = [{"text": turns.pop(0).text}]
        body["messages"] = [_message(turn) for turn in turns]
        if asked.tools:
            schema = {"json": {"type": "object"}}
            tools = [{"toolSpec": {"name": name, "inputSchema": schema}} for name in asked.tools]
            body["toolConfig"] = {"tools": tools}
        if asked.choice in ("auto", "any"):
            body["toolConfig"]["toolChoice"] = {asked.choice: {}}
        elif asked.choice:
            body["toolConfig"]["toolChoice"] = {"tool": {"name": asked.choice}}
        if asked.schema is not None:
            schema_ = {"name": "answer", "schema": json.dumps(asked.schema)}
            format_ = {"type": "json_schema", "structure": {"jsonSchema": schema_}}
            body["outputConfig"] = {"textFormat": format_}
        if asked.thinks:
            thinking = {"type": "enabled", "budget_tokens": 1024}
            body["additionalModelRequestFields"] = {"thinking": thinking}
        config: dict[str, Any] = {"maxTokens": 5000}
        if asked.stop:
            config["stopSequences"] = asked.stop
        return {**body, "inferenceConfig": config}

    def asked(self, body: dict[str, Any]) -> Asked:
        stream = body.pop("stream", False)
        validated(json.dumps(body).encode())
        # What is no text there is a cache point.
        texts = [each["text"] for each in body.get("system", ()) if "text" in each]
        turns = [Turn("system", text) for text in texts]
        turns += [each for message in body["messages"] for each in _turns(message)]
        config = body.get("toolConfig", {})
        choice = config.get("toolChoice", {})
        named = choice.get("tool", {}).get("name") or next(iter(choice), "")
        format_ = body.get("outputConfig", {}).get("textFormat")
        own = body.get("additionalModelRequestFields", {})
        return Asked(
            turns=turns,
            tools=[each["toolSpec"]["name"] for each in config.get("tools", ())],
            choice=named,
            schema=format_ and json.loads(format_["structure"]["jsonSchema"]["schema"]),
            thinks=own.get("thinking", {}).get("type") in ("enabled", "adaptive"),
            stop=body.get("inferenceConfig", {}).get("stopSequences", []),
            stream=bool(stream),
        )

    def answer(self, said: Said) -> dict[str, Any]:
        content: list[dict[str, Any]] = []
        if said.thought:
            text = {"text": said.thought, "signature": SIGNATURE}
            content.append({"reasoningContent": {"reasoningText": text}})
        if said.text or said.refusal:
            content.append({"text": said.text or said.refusal})
        for number, (name, arguments) in enumerate(said.calls):
            call = {"toolUseId": f"tooluse_{number}", "name": name, "input": arguments}
            content.append({"toolUse": call})
        return {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": _REASONS[said.stop],
            "usage": _usage(said),
            "metrics": {"latencyMs": 7},
        }

    def events(self, said: Said) -> list[bytes]:
        whole = self.answer(said)
        found: list[dict[str, Any]] = [{"messageStart": {"role": "assistant"}}]
        for index, block in enumerate(whole["output"]["message"]["content"]):
            found += _block_events(index, block)
        found.append({"messageStop": {"stopReason": whole["stopReason"]}})
        found.append({"metadata": {"usage": whole["usage"], "metrics": whole["metrics"]}})
        return [stream_of(each) for each in found]

    def said(self, answer: dict[str, Any]) -> Said:
        content = answer["output"]["message"]["content"]
        said = Said(stop=_STOPS[answer["stopReason"]], raw=content)
        for block in content:
            said.text += block.get("text", "")
            thought = block.get("reasoningContent", {}).get("reasoningText", {})
            said.thought += thought.get("text", "")
            if "toolUse" in block:
                said.calls.append((block["toolUse"]["name"], block["toolUse"]["input"]))
        usage = answer["usage"]
        cached = usage.get("cacheReadInputTokens", 0)
        taken = usage["inputTokens"] + cached + usage.get("cacheWriteInputTokens", 0)
        said.usage = taken, usage["outputTokens"], cached
        return said

    def streamed(self, body: bytes) -> Said:
        blocks: dict[int, dict[str, Any]] = {}
        end: dict[str, Any] = {}
        for event in read_by_botocore(body):
            [(kind, found)] = event.items()
            number = found.get("contentBlockIndex", 0)
            if kind == "contentBlockStart":
                blocks[number] = {"toolUse": {**found["start"]["toolUse"], "input": ""}}
            elif kind == "contentBlockDelta":
                delta = found["delta"]
                block = blocks.setdefault(number, {})
                if "text" in delta:
                    block["text"] = block.get("text", "") + delta["text"]
                if "toolUse" in delta:
                    block["toolUse"]["input"] += delta["toolUse"]["input"]
                if "reasoningContent" in delta:
                    inner = block.setdefault("reasoningContent", {})
                    text = inner.setdefault("reasoningText", {"text": ""})
                    text["text"] += delta["reasoningContent"].get("text", "")
            elif kind in ("messageStop", "metadata"):
                end |= found
        for block in blocks.values():
            if "toolUse" in block:
                block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
        content = [blocks[number] for number in sorted(blocks)]
        return self.said({"output": {"message": {"content": content}}, **end})

    def error(self, message: str, *, too_long: bool = False) -> dict[str, Any]:
        return {"message": f"{_LONG} {message}" if too_long else message}

    def told(self, body: dict[str, Any]) -> tuple[str, bool]:
        return body["message"], body["message"].startswith(_LONG)

    def broken(self, message: str) -> bytes:
        error = json.dumps({"message": message}).encode()
        return exception_frame("internalServerException", error)

    def breaks(self, body: bytes) -> str | None:
        try:
            read_by_botocore(body)
        except ValueError as exc:
            return str(exc)
        return None

    def call_id(self, raw: Any) -> str:
        return next(str(each["toolUse"]["toolUseId"]) for each in raw if "toolUse" in each)


def _usage(said: Said) -> dict[str, Any]:
    taken, given, cached = said.usage
    counts = {"inputTokens": taken - cached, "outputTokens": given, "totalTokens": taken + given}
    return {**counts, **({"cacheReadInputTokens": cached} if cached else {})}


def _block_events(index: int, block: dict[str, Any]) -> list[dict[str, Any]]:
    place = {"contentBlockIndex": index}
    found: list[dict[str, Any]] = []
    deltas: list[dict[str, Any]] = [{"text": each} for each in pieces(block.get("text", ""))]
    if "reasoningContent" in block:
        text = block["reasoningContent"]["reasoningText"]
        deltas = [{"reasoningContent": {"text": text["text"]}}]
        deltas.append({"reasoningContent": {"signature": text["signature"]}})
    if "toolUse" in block:
        call = dict(block["toolUse"])
        given = json.dumps(call.pop("input"))
        found.append({"contentBlockStart": {**place, "start": {"toolUse": call}}})
        deltas = [{"toolUse": {"input": each}} for each in pieces(given)]
    found += [{"contentBlockDelta": {**place, "delta": delta}} for delta in deltas]
    return [*found, {"contentBlockStop": place}]


def _message(turn: Turn) -> dict[str, Any]:
    if turn.role == "raw":
        return {"role": "assistant", "content": turn.raw}
    content: list[dict[str, Any]] = [{"text": turn.text}] if turn.text else []
    pictures = [_image(each) for each in turn.images]
    for id, text, failed in turn.results:
        inner = [{"text": text}, *pictures]
        status = "error" if failed else "success"
        content.append({"toolResult": {"toolUseId": id, "content": inner, "status": status}})
        pictures = []
    content += pictures
    for id, name, arguments in turn.calls:
        content.append({"toolUse": {"toolUseId": id, "name": name, "input": arguments}})
    return {"role": "assistant" if turn.role == "assistant" else "user", "content": content}


def _image(image: tuple[str, str]) -> dict[str, Any]:
    kind, data = image
    return {"image": {"format": kind.removeprefix("image/"), "source": {"bytes": data}}}


def _read_image(block: dict[str, Any]) -> tuple[str, str]:
    return f"image/{block['image']['format']}", block["image"]["source"]["bytes"]


def _turns(message: dict[str, Any]) -> list[Turn]:
    """Return a turn for each text: those of one role that follow each other are one message."""
    results = Turn("results")
    found = [results]
    for block in message["content"]:
        if "toolResult" in block:
            inner = block["toolResult"]["content"]
            text = "".join(each.get("text", "") for each in inner)
            failed = block["toolResult"].get("status") == "error"
            results.results.append((block["toolResult"]["toolUseId"], text, failed))
            results.images += [_read_image(each) for each in inner if "image" in each]
        elif "text" in block:
            found.append(Turn(message["role"], block["text"]))
        elif "image" in block:
            found.append(Turn(message["role"], images=[_read_image(block)]))
        elif "toolUse" in block:
            call = block["toolUse"]
            calls = [(call["toolUseId"], call["name"], call["input"])]
            found.append(Turn(message["role"], calls=calls))
    return found
