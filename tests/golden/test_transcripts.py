"""The stream rewriter on golden transcripts, however the network cuts them."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from gateway.core.dialects.openai_chat.stream import ChatStreamRewriter
from gateway.core.records.usage import Usage
from gateway.core.wire.sse import MAX_EVENT_BYTES

from ..rounds import swept
from .transcripts import DONE, TRANSCRIPTS, Transcript

all_transcripts = pytest.mark.parametrize(
    "transcript", TRANSCRIPTS, ids=lambda transcript: transcript.name
)
both_wishes = pytest.mark.parametrize("asks", [True, False], ids=["usage", "no-usage"])

# By transcript: what is to be accounted for, whether or not the caller wants to see it.
COUNTED = {
    "azure": Usage(11, 3),
    "deepseek": Usage(8, 24, 0, 18),
    # Gemini thinks beside the completion, and reports that in the total only.
    "gemini": Usage(52, 95),
    "groq": Usage(42, 3),
    "numbered_crlf": Usage(5, 3),
    "openai": Usage(14, 7),
    "openai_tools": Usage(81, 46, 64, 0),
    "openrouter": Usage(38, 31, 0, 21, reported_cost=579_000),
    "openrouter_error": None,
    "vllm": Usage(17, 4),
}


def rewrite(pieces: Iterable[bytes], *, asks: bool) -> tuple[bytes, ChatStreamRewriter]:
    """Return what a caller gets of `pieces`, its end included."""
    rewriter = ChatStreamRewriter(b'"m"', keep_usage=asks, max_event_bytes=MAX_EVENT_BYTES)
    output = b"".join(map(rewriter.feed, pieces))
    if rewriter.error is not None:
        output += b"data: " + rewriter.error + b"\n\n"
    elif rewriter.done:
        output += DONE
    return output, rewriter


def test_there_is_one_expectation_for_each_transcript() -> None:
    assert {transcript.name for transcript in TRANSCRIPTS} == set(COUNTED)


@all_transcripts
@both_wishes
def test_whole(transcript: Transcript, asks: bool) -> None:
    output, rewriter = rewrite([transcript.sent], asks=asks)
    assert output == transcript.expected[asks]
    assert rewriter.usage == COUNTED[transcript.name]
    assert rewriter.malformed == 0
    assert rewriter.meaningful
    assert (rewriter.error is not None) == transcript.failed


@all_transcripts
@both_wishes
def test_byte_by_byte(transcript: Transcript, asks: bool) -> None:
    sent = transcript.sent
    output, rewriter = rewrite((sent[i : i + 1] for i in range(len(sent))), asks=asks)
    assert output == transcript.expected[asks]
    assert rewriter.usage == COUNTED[transcript.name]


@pytest.mark.slow
@all_transcripts
@both_wishes
def test_cut_at_each_position(transcript: Transcript, asks: bool) -> None:
    sent, expected = transcript.sent, transcript.expected[asks]
    for cut in swept(len(sent) - 1, len(transcript.name) + asks):
        output, _ = rewrite([sent[:cut], sent[cut:]], asks=asks)
        assert output == expected, cut


@all_transcripts
@both_wishes
def test_what_a_caller_gets_is_plain(transcript: Transcript, asks: bool) -> None:
    """No ids, no CR, one model name, usage only for who asked: true of every expectation."""
    expected = transcript.expected[asks]
    assert b"\r" not in expected
    blocks = expected.split(b"\n\n")
    assert blocks.pop() == b""
    for block in blocks:
        lines = block.split(b"\n")
        assert not any(line.startswith((b"id:", b"retry:")) for line in lines)
        data = [line for line in lines if line.startswith(b"data: {")]
        for line in data:
            chunk = json.loads(line.removeprefix(b"data: "))
            assert chunk["model"] == "m"
            assert asks or "usage" not in chunk
