"""What is read of the messages of a Realtime session."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.openai_realtime.dialect import REALTIME
from gateway.core.dialects.openai_realtime.realtime import RealtimeTalk
from gateway.core.dialects.sessions.base import SessionTalk
from gateway.core.records.usage import Usage, summed
from gateway.errors import InvalidRequest

TURN = {
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119,
        "audio_tokens": 13,
        "image_tokens": 0,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}
TRANSCRIBED = "conversation.item.input_audio_transcription.completed"


class _Recipient:
    model_json = b'"gpt-realtime"'
    stream_usage = True
    usage_rule = "usual"
    dialect = REALTIME


def talk(**more: Any) -> RealtimeTalk:
    return RealtimeTalk("public", _Recipient(), **more)  # type: ignore[arg-type]


def working(talk: SessionTalk) -> bool:
    return talk.working


def said(**message: Any) -> str:
    return json.dumps(message)


def test_an_answer_is_under_way_from_its_beginning_to_its_end() -> None:
    session = talk()
    assert not working(session)
    assert session.from_caller(said(type="response.create")).asks
    assert working(session)
    session.from_provider(said(type="response.created", response={}))
    session.from_provider(said(type="response.output_audio.delta", delta="AAAA"))
    assert working(session)
    session.from_provider(said(type="response.done", response={"usage": TURN}))
    assert not working(session)
    # One that the provider begins of its own accord, when the caller has spoken.
    session.from_provider(said(type="response.created", response={}))
    assert working(session)
    assert session.from_provider(said(type="error", error={"message": "x"})).fails
    assert not working(session)
    assert session.events == 5


def test_what_answers_took() -> None:
    session = talk()
    for _ in range(2):
        session.from_provider(said(type="response.done", response={"usage": TURN}))
    turn = Usage(
        input_tokens=132,
        output_tokens=121,
        cached_tokens=64,
        cached_audio_tokens=4,
        input_audio_tokens=13,
        output_audio_tokens=91,
    )
    assert session.answers == [turn, turn]
    assert not session.uncounted
    total = summed(session.answers, partial=False)
    assert total is not None
    assert (total.input_tokens, total.cached_audio_tokens, total.parts) == (264, 8, (turn, turn))
    assert summed([], partial=True) is None
    for uncounted in (
        said(type="response.done", response={"status": "cancelled", "usage": None}),
        said(type="response.done"),
        # Of another model, whose price nobody has asked for.
        said(type=TRANSCRIBED, usage={"type": "duration", "seconds": 3}),
    ):
        session = talk()
        session.from_provider(uncounted)
        assert session.uncounted, uncounted
    session = talk(transcribes=True)
    session.from_provider(
        said(
            type=TRANSCRIBED,
            usage={"type": "tokens", "input_tokens": 12, "output_tokens": 3, "total_tokens": 15},
        )
    )
    assert session.answers == [Usage(12, 3)]


def test_the_model_of_the_session_and_others() -> None:
    session = talk()
    update = session.from_caller(
        said(type="session.update", session={"voice": "x", "model": "public"})
    )
    assert json.loads(update.text or "")["session"] == {"voice": "x", "model": "gpt-realtime"}
    plain = session.from_caller(said(type="session.update", session={"voice": "x"}))
    assert plain.text is None
    transcription = {"model": "whisper-1", "language": "de"}
    for inner in (
        {"input_audio_transcription": transcription},
        {"audio": {"input": {"transcription": transcription}}},
    ):
        assert session.from_caller(said(type="session.update", session=inner)).models == (
            "whisper-1",
        )
    for wrong in (
        said(type="session.update", session={"model": "other"}),
        '{"type":"session.update","session":{"model":"public","model":"other"}}',
        '{"type":"session.update","session":{"MODEL":"other"}}',
        '{"type":"session.update","Session":{"model":"other"}}',
        '{"type":"session.update","type":"x","session":{"model":"other"}}',
        '{"type":"session.update","session":{"model":"other"},"type":"input_audio_buffer.append"}',
        '{"type":"session.update","session":{"audio":{"input":{"transcription":{"Model":"x"}}}}}',
        '{"type":"session.update","session":{"model":7}}',
        '{"type":7}',
        "[]",
        "x",
    ):
        with pytest.raises(InvalidRequest):
            session.from_caller(wrong)


def test_whatever_a_provider_sends_is_taken() -> None:
    session = talk()
    for odd in ("", "[]", "7", '{"type":7}', '{"type":"response.done","response":7}', "{" * 9999):
        session.from_provider(odd)
    assert session.events == 6
