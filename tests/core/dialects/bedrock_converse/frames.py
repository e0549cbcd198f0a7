"""Streams of Converse as tests write them, and as botocore reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

import botocore.session
from botocore.eventstream import EventStreamBuffer
from botocore.parsers import RestJSONParser

from gateway.core.dialects.bedrock_converse.frames import event_frame

MODEL: Final = botocore.session.Session().get_service_model("bedrock-runtime")
OUTPUT: Final = MODEL.operation_model("ConverseStream").output_shape.members["stream"]
PARSER: Final = RestJSONParser()._event_stream_parser
USAGE: Final = {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}


def stream_of(*events: dict[str, Any]) -> bytes:
    return b"".join(
        event_frame(name, json.dumps(payload).encode())
        for event in events
        for name, payload in event.items()
    )


def text(said: str, index: int = 0) -> dict[str, Any]:
    return {"contentBlockDelta": {"contentBlockIndex": index, "delta": {"text": said}}}


def stopped(index: int = 0) -> dict[str, Any]:
    return {"contentBlockStop": {"contentBlockIndex": index}}


def ended(reason: str = "end_turn", usage: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    metadata = {"usage": USAGE if usage is None else usage, "metrics": {"latencyMs": 7}}
    return [{"messageStop": {"stopReason": reason}}, {"metadata": metadata}]


STARTED: Final = {"messageStart": {"role": "assistant"}}
HELLO: Final = (STARTED, text("Hel"), text("lo"), stopped(), *ended())


def read_by_botocore(stream: bytes) -> list[dict[str, Any]]:
    """Return the events of a stream as boto3 hands them out; raises for its exceptions."""
    buffer = EventStreamBuffer()
    buffer.add_data(stream)
    found: list[dict[str, Any]] = []
    for event in buffer:
        response = event.to_response_dict()
        parsed = PARSER.parse(response, OUTPUT)
        if response["status_code"] != 200:
            raise ValueError(parsed["Error"])
        if parsed:
            found.append(parsed)
    return found


def decoded(frames: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: dict(body) for name, body in each.items()} for each in frames]
