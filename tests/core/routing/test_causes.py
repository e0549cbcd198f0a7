from __future__ import annotations

from gateway.core.routing.causes import RULES, Again, Cause


def test_every_cause_has_a_rule() -> None:
    assert list(RULES) == list(Cause)


def test_nothing_leads_elsewhere_after_commit_or_by_our_own_hand() -> None:
    nowhere = {cause for cause, rule in RULES.items() if rule.again is Again.NOWHERE}
    assert nowhere == {
        Cause.TOTAL_TIMEOUT,
        Cause.REJECTED,
        Cause.CONTEXT_LENGTH,
        Cause.CONTENT_POLICY,
        Cause.TRUNCATED,
        Cause.HEDGED,
        Cause.CLIENT_GONE,
        Cause.ABANDONED,
        Cause.SHUTDOWN,
        Cause.CANCELLED,
        Cause.INTERNAL,
    }


def test_what_is_not_the_providers_doing_says_nothing_of_its_health() -> None:
    silent = {cause for cause, rule in RULES.items() if rule.failure is None}
    assert silent == {
        Cause.POOL_TIMEOUT,
        Cause.STALE_CONNECTION,
        Cause.STALE_CREDENTIAL,
        Cause.LOCAL_SHORTAGE,
        Cause.TOTAL_TIMEOUT,
        Cause.RATE_LIMITED,
        Cause.AUTH_FAILED,
        Cause.ACCOUNT_REFUSED,
        Cause.HEDGED,
        Cause.CLIENT_GONE,
        Cause.ABANDONED,
        Cause.SHUTDOWN,
        Cause.CANCELLED,
        Cause.INTERNAL,
    }


def test_a_refusal_of_the_request_is_no_failure() -> None:
    assert {cause for cause, rule in RULES.items() if rule.failure is False} == {
        Cause.REJECTED,
        Cause.CONTEXT_LENGTH,
        Cause.CONTENT_POLICY,
        Cause.REQUEST_TOO_LARGE,
        Cause.UNSUPPORTED,
    }


def test_what_a_request_may_have_brought_about_is_an_answer_or_its_loss() -> None:
    assert {cause for cause, rule in RULES.items() if rule.by_request} == {
        Cause.CONNECTION_LOST,
        Cause.PROTOCOL_VIOLATION,
        Cause.TOTAL_TIMEOUT,
        Cause.SERVER_ERROR,
        Cause.STREAM_ERROR,
        Cause.EMPTY_STREAM,
        Cause.NOT_A_STREAM,
        Cause.TRUNCATED,
        Cause.ABANDONED,
        Cause.UNREADABLE,
    }


def test_what_may_be_a_soft_failure_is_none_by_itself() -> None:
    late = {cause for cause, rule in RULES.items() if rule.late}
    assert late == {Cause.TOTAL_TIMEOUT, Cause.ABANDONED}
    assert all(RULES[cause].failure is None for cause in late)


def test_silence_is_what_waited_for_a_deadline() -> None:
    assert {cause for cause, rule in RULES.items() if rule.silent} == {
        Cause.CONNECT_TIMEOUT,
        Cause.FIRST_EVENT_TIMEOUT,
        Cause.IDLE_TIMEOUT,
        Cause.TOTAL_TIMEOUT,
    }
