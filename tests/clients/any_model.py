"""The model behind three more APIs: Bedrock's Converse, Cohere's and Ollama's.

What it answers is written by the modules of the matrix, which know each API by itself.
"""

from __future__ import annotations

import json
from typing import Any

from ..end_to_end.provider import Asked
from ..end_to_end.wire import Script, framed, stream_head, whole
from .matrix.cohere import Cohere
from .matrix.converse import Converse
from .matrix.ollama import Ollama
from .matrix.spoken import Said, Spoken
from .model import THOUGHT, ScriptedModel, pieces, text_of


class AnyModel(ScriptedModel):
    """Answers in seven APIs."""

    def __call__(self, asked: Asked) -> Script:
        path = asked.target.partition("?")[0]
        if path.endswith("/v2/chat"):
            return self._answer(Cohere(), asked.json, streams=bool(asked.json.get("stream")))
        if path.endswith("/api/chat"):
            return self._answer(Ollama(), asked.json, streams=asked.json.get("stream", True))
        if path.endswith("/api/generate"):
            return _generated(text_of(None), streams=asked.json.get("stream", True))
        if path.startswith("/model/"):
            return self._answer(Converse(), asked.json, streams=path.endswith("-stream"))
        return super().__call__(asked)

    def _answer(self, api: Spoken, body: dict[str, Any], *, streams: bool) -> Script:
        found = api.asked(body)
        last = found.turns[-1]
        result = last.results[-1][1] if last.results else None
        call = self._call(found.tools, result)
        text = text_of(result)
        said = Said(text) if call is None else Said(text, [call], "calls")
        if self.thinks and found.thinks and call is not None:
            said.thought = THOUGHT
        if not streams:
            return [(0.0, whole(200, api.answer(said)))]
        kind = api.streams_as.encode()
        head = stream_head().replace(b"text/event-stream; charset=utf-8", kind)
        events = [(0.0, framed(each)) for each in api.events(said)]
        return [(0.0, head), *events, (0.0, b"0\r\n\r\n")]


def _generated(text: str, *, streams: bool) -> Script:
    """Answer a prompt in Ollama's API."""
    line = {"model": "real", "created_at": "2025-01-01T00:00:00Z", "response": text}
    end = {"done": True, "done_reason": "stop", "prompt_eval_count": 19, "eval_count": 10}
    if not streams:
        return [(0.0, whole(200, {**line, **end}))]
    head = stream_head().replace(b"text/event-stream; charset=utf-8", b"application/x-ndjson")
    lines = [{**line, "response": each, "done": False} for each in pieces(text)]
    lines.append({**line, "response": "", **end})
    events = [(0.0, framed(json.dumps(each).encode() + b"\n")) for each in lines]
    return [(0.0, head), *events, (0.0, b"0\r\n\r\n")]
