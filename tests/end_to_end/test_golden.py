"""Golden transcripts through a real gateway: the same bytes, and the same to the SDK.

What the SDK sees through the gateway equals what it sees from the provider itself, the model's
name aside: every chunk with all of its members, known to the SDK or not, and every error.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from gateway.core.records.record import EndReason

from ..golden.transcripts import TRANSCRIPTS, Transcript
from .caller import ask
from .harness import config, in_process
from .provider import Asked, serving
from .sdk import VERSIONS, chat, run_sdk
from .wire import LAST_CHUNK, Script, completion, framed, stream_head, whole

pytestmark = pytest.mark.slow

BY_NAME = {transcript.name: transcript for transcript in TRANSCRIPTS}
WHOLE = completion(
    "Zürich \u2028 \U0001f600",
    x_groq={"id": "req_1"},
    citations=["https://example.com"],
    provider="Someone",
)
WHOLE["choices"][0]["message"]["reasoning_content"] = "Hm."


def cut(data: bytes, seed: str) -> Script:
    """Return the script of a stream that is cut anywhere, as networks do."""
    rng = random.Random(seed)
    steps: list[tuple[float, bytes]] = [(0.0, stream_head())]
    while data:
        size = rng.choice([1, 7, 60, 400, 3000])
        piece, data = data[:size], data[size:]
        steps.append((rng.choice([0.0, 0.0, 0.002]), framed(piece)))
    return [*steps, (0.0, LAST_CHUNK)]


def playing(transcript: Transcript) -> Callable[[Asked], Script]:
    def answer(asked: Asked) -> Script:
        return cut(transcript.sent_to(wants_usage=asked.wants_usage), transcript.name)

    return answer


def play_named(asked: Asked) -> Script:
    """Play the transcript that the question names, or else a whole answer."""
    if not asked.json.get("stream"):
        return [(0.0, whole(200, WHOLE))]
    transcript = BY_NAME[asked.json["messages"][0]["content"]]
    return playing(transcript)(asked)


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda transcript: transcript.name)
@pytest.mark.parametrize("asks", [True, False], ids=["usage", "no-usage"])
async def test_bytes(transcript: Transcript, asks: bool) -> None:
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if asks else {}
    async with (
        serving(playing(transcript)) as provider,
        in_process(config(provider.port)) as gateway,
    ):
        reply = await ask(gateway.port, stream=True, **options)
        record = await gateway.record()
        await gateway.settled()
    assert reply.body == transcript.expected[asks]
    assert reply.complete is not transcript.failed
    expected = EndReason.UPSTREAM_BROKE if transcript.failed else EndReason.COMPLETE
    assert record.end_reason is expected
    assert record.malformed_events == 0


def renamed(seen: dict[str, Any]) -> dict[str, Any]:
    """Return `seen` without the name of the model, the request's id and its headers."""
    chunks = [{**chunk, "model": None} for chunk in seen["chunks"]]
    return {**seen, "chunks": chunks}


@pytest.mark.parametrize("version", VERSIONS, ids=lambda line: f"openai{line}")
@pytest.mark.parametrize("client", ["sync", "async"])
async def test_the_sdk_sees_what_the_provider_says(version: str, client: str) -> None:
    calls = [
        chat(stream=True, messages=[{"role": "user", "content": transcript.name}], **options)
        for transcript in TRANSCRIPTS
        for options in ({}, {"stream_options": {"include_usage": True}})
    ]
    calls.append(chat())
    async with serving(play_named) as provider, in_process(config(provider.port)) as gateway:
        direct = await run_sdk(
            version, f"http://127.0.0.1:{provider.port}/v1", calls, client=client
        )
        through = await run_sdk(version, gateway.url, calls, client=client)
        await gateway.settled()
    assert len(provider.asked) == 2 * len(calls)
    calls.pop()
    plain_answer, relayed_answer = direct.pop()["answer"], through.pop()["answer"]
    assert plain_answer["choices"][0]["message"]["reasoning_content"] == "Hm."
    assert relayed_answer.pop("model") == "m"
    assert plain_answer.pop("model") == "real-model"
    assert relayed_answer == plain_answer
    for call, plain, relayed in zip(calls, direct, through, strict=True):
        what = call["with"]
        failed = BY_NAME[what["messages"][0]["content"]].failed
        assert plain["chunks"], what
        assert ("error" in plain) is failed, what
        assert renamed(relayed) == renamed(plain), what
        assert {chunk["model"] for chunk in relayed["chunks"]} == {"m"}, what
        asks = "stream_options" in what
        counted = any(chunk.get("usage") for chunk in relayed["chunks"])
        assert counted is (asks and not failed), what
