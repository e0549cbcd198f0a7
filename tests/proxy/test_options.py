from __future__ import annotations

import hashlib

import pytest

from gateway.config.callers import Caller
from gateway.core.dialects.openai_chat.request import parse_chat
from gateway.core.routing.attempts import RetryPolicy
from gateway.proxy.options import DEFAULT, ServingOptions, sticky_key

from .world import State, body, deployment, served

DIGEST = hashlib.sha256(b"key").digest()
WHO = Caller(name="t", digest=DIGEST, models=frozenset())


@pytest.mark.parametrize(
    ("by", "user", "headers", "expected"),
    [
        ((), "u", {}, None),
        (("user",), "u", {}, b"user=u"),
        (("user",), None, {}, None),
        (("user",), "", {}, None),
        (("user", "token"), None, {}, b"token=" + DIGEST),
        (("header:X-Session", "user"), "u", {b"x-session": b"s"}, b"header:X-Session=s"),
        (("header:X-Session", "user"), "u", {}, b"user=u"),
        (("header:x-session",), None, {b"x-session": b""}, None),
        (("user",), "\u00fc", {}, b"user=\xc3\xbc"),
    ],
)
def test_requests_stick_by_the_first_that_they_have(
    by: tuple[str, ...],
    user: str | None,
    headers: dict[bytes, bytes],
    expected: bytes | None,
) -> None:
    model = served(deployment("a"), state=State(), sticky_by=by)
    request = parse_chat(body() if user is None else body(user=user))
    assert sticky_key(model, request, WHO, headers) == expected


def test_a_user_is_not_taken_for_a_token_of_the_same_bytes() -> None:
    model = served(deployment("a"), state=State(), sticky_by=("user", "token"))
    mine = sticky_key(model, parse_chat(body(user="x")), WHO, {})
    other = Caller(name="o", digest=b"x", models=frozenset())
    assert mine != sticky_key(model, parse_chat(body()), other, {})


def test_without_a_token_there_is_nothing_to_stick_by() -> None:
    model = served(deployment("a"), state=State(), sticky_by=("token",))
    anyone = Caller(name="anonymous", digest=b"", models=frozenset())
    assert sticky_key(model, parse_chat(body()), anyone, {}) is None


def test_a_single_attempt_changes_nothing_else() -> None:
    policy = RetryPolicy(max_attempts=7, base=3)
    assert DEFAULT.retry(policy) is policy
    assert ServingOptions(single=True).retry(policy) == RetryPolicy(max_attempts=1, base=3)
