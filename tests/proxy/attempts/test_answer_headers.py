from __future__ import annotations

import pytest

from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.proxy.attempts.answer_headers import _ABOUT_BODY, _clean, passed_on

PASSED_ON = passed_on(OPENAI_CHAT.provider_headers, frozenset())
PASSED_ON_WITH_LIMITS = passed_on(OPENAI_CHAT.provider_headers, OPENAI_CHAT.limit_headers)

LIMITS = [
    (b"x-ratelimit-%b-%b" % (what, kind), b"1")
    for what in (b"limit", b"remaining", b"reset")
    for kind in (b"requests", b"tokens")
]


def test_what_is_passed_on_has_a_prefix_of_its_own() -> None:
    theirs = [(b"x-request-id", b"r1"), (b"openai-version", b"2020"), (b"server", b"nginx")]
    assert _clean(theirs, PASSED_ON) == [
        (b"x-provider-request-id", b"r1"),
        (b"x-provider-openai-version", b"2020"),
    ]


def test_limits_keep_their_names_and_are_passed_on_only_if_asked_for() -> None:
    assert _clean(LIMITS, PASSED_ON) == []
    assert _clean(LIMITS, PASSED_ON_WITH_LIMITS) == LIMITS
    assert _clean([(b"x-ratelimit-else", b"1")], PASSED_ON_WITH_LIMITS) == []


@pytest.mark.parametrize(
    "value", [b"a\x1b[31m", b"tab\there", b"a\r\nset-cookie: x", b"\xff", b"\x00"]
)
def test_what_could_harm_a_terminal_or_end_a_header_is_left_out(value: bytes) -> None:
    assert _clean([(b"x-request-id", value), (b"openai-version", b"1")], PASSED_ON) == [
        (b"x-provider-openai-version", b"1")
    ]


def test_of_a_body_that_was_inflated_only_its_type_matters() -> None:
    theirs = [
        (b"content-type", b"text/html"),
        (b"content-encoding", b"br"),
        (b"content-length", b"9"),
    ]
    assert _clean(theirs, _ABOUT_BODY) == theirs[:1]
