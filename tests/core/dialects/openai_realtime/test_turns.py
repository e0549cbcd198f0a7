"""What is read of the messages of a Responses session."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.openai_realtime.dialect import RESPONSES_SOCKET
from gateway.core.dialects.openai_realtime.turns import ResponsesTalk
from gateway.core.dialects.sessions.base import SessionTalk
from gateway.core.records.usage import Usage
from gateway.errors import InvalidRequest


class _Recipient:
    model_json = b'"gpt-5"'
    stream_usage = True
    usage_rule = "usual"
    dialect = RESPONSES_SOCKET


def working(talk: SessionTalk) -> bool:
    return talk.working


def said(**message: Any) -> str:
    return json.dumps(message)


def test_one_answer_after_another() -> None:
    talk = ResponsesTalk("public", _Recipient())  # type: ignore[arg-type]
    asked = talk.from_caller(said(type="response.create", model="public", input="hi", store=False))
    assert asked.request is not None
    assert json.loads(asked.text or "")["model"] == "gpt-5"
    assert working(talk)
    response: dict[str, Any] = {"id": "resp_1", "store": True}
    assert talk.from_provider(said(type="response.created", response=response)).kept == ("resp_1",)
    assert talk.from_provider(said(type="response.output_text.delta", delta="x")).kept == ()
    response["usage"] = {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11}
    response["output"] = [{"type": "web_search_call", "status": "completed"}]
    talk.from_provider(said(type="response.completed", response=response))
    assert not working(talk)
    assert talk.answers == [Usage(9, 2, web_searches=1)]
    talk.from_caller(said(type="response.create", model="public"))
    talk.from_provider(said(type="response.failed", response={"id": "x"}))
    assert (working(talk), talk.uncounted) == (False, True)
    talk.from_caller(said(type="response.create", model="public"))
    assert talk.from_provider(said(type="error", status=400, error={})).fails
    assert not working(talk)
    assert not talk.from_caller(said(type="response.steer", input="x")).asks


def test_another_model_is_another_session() -> None:
    talk = ResponsesTalk("public", _Recipient())  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest) as caught:
        talk.from_caller(said(type="response.create", model="other"))
    assert caught.value.code == "websocket_connection_limit_reached"
    for wrong in ('{"type":"response.create","model":"public","model":"x"}', "{}x", '{"type":1}',
                  '{"type":"response.create"}'):  # fmt: skip
        with pytest.raises(InvalidRequest):
            talk.from_caller(wrong)
