"""A strict look at one whole answer, before many are counted by cheap marks.

A subject that loses, doubles or reorders events must not look fast.
"""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

from .chunks import PROVIDER_MODEL, STAMP, TOTAL_TOKENS, Stream, completion
from .scenarios import Scenario
from .subjects import Launch


class WrongAnswer(Exception):
    """A subject answered, but not what the provider said."""


def ask(launch: Launch, body: bytes, timeout: float = 30.0) -> tuple[int, bytes]:
    """Send one request on a new connection; return the status and the whole body.

    Raises `OSError` or `http.client.HTTPException` if there is no such answer.
    """
    with socket.create_connection(("127.0.0.1", launch.port), timeout=timeout) as sock:
        sock.sendall(launch.request(body))
        response = http.client.HTTPResponse(sock, method="POST")
        response.begin()
        return response.status, response.read()


def answers(launch: Launch, body: bytes) -> bool:
    """Say whether the subject answers a request with success yet."""
    try:
        return ask(launch, body)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def verify(launch: Launch, scenario: Scenario, *, usage: bool) -> None:
    """Compare one answer with what the provider sends. Raises `WrongAnswer`."""
    status, body = ask(launch, scenario.body(launch.model, usage=usage))
    if status != 200:
        raise WrongAnswer(f"status {status}: {body[:500]!r}")
    if scenario.events:
        expected = Stream(PROVIDER_MODEL, scenario.events, usage=usage, framed=False).burst(0)
        _same_stream(_chunks(body), _chunks(expected), launch.answers_as, usage=usage)
    else:
        _same_completion(json.loads(body), json.loads(completion(launch.answers_as)))


def _same_completion(got: dict[str, Any], expected: dict[str, Any]) -> None:
    for key in ("model", "object"):
        _same(key, got[key], expected[key])
    for key in ("message", "finish_reason"):
        wanted = expected["choices"][0][key]
        if key == "message":
            _same("content", got["choices"][0][key]["content"], wanted["content"])
        else:
            _same(key, got["choices"][0][key], wanted)
    _same("usage", got["usage"]["total_tokens"], expected["usage"]["total_tokens"])


def _same_stream(
    got: list[dict[str, Any]], expected: list[dict[str, Any]], model: str, *, usage: bool
) -> None:
    _same("texts", _texts(got), _texts(expected))
    _same("models", {chunk["model"] for chunk in got}, {model})
    _same("finish_reason", _finish(got), _finish(expected))
    totals = [chunk["usage"]["total_tokens"] for chunk in got if chunk.get("usage")]
    _same("usage", totals, [TOTAL_TOKENS] if usage else [])


def _chunks(body: bytes) -> list[dict[str, Any]]:
    events = body.decode().split("\n\n")
    if events[-2:] != ["data: [DONE]", ""]:
        raise WrongAnswer(f"the stream ends with {events[-2:]!r}")
    return [json.loads(event.removeprefix("data: ")) for event in events[:-2]]


def _texts(chunks: list[dict[str, Any]]) -> list[str]:
    texts = [choice["delta"].get("content") for chunk in chunks for choice in chunk["choices"]]
    return [STAMP.sub(b"", text.encode()).decode() for text in texts if text]


def _finish(chunks: list[dict[str, Any]]) -> list[str]:
    reasons = [choice.get("finish_reason") for chunk in chunks for choice in chunk["choices"]]
    return [reason for reason in reasons if reason]


def _same(what: str, got: object, expected: object) -> None:
    if got != expected:
        raise WrongAnswer(f"{what}: {got!r} is not {expected!r}"[:500])
