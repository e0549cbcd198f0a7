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
        Cause.SHUTDOWN,
        Cause.INTERNAL,
    }


def test_what_is_not_the_providers_doing_says_nothing_of_its_health() -> None:
    silent = {cause for cause, rule in RULES.items() if rule.failure is None}
    assert silent == {
        Cause.POOL_TIMEOUT,
        Cause.LOCAL_SHORTAGE,
        Cause.TOTAL_TIMEOUT,
        Cause.RATE_LIMITED,
        Cause.AUTH_FAILED,
        Cause.HEDGED,
        Cause.CLIENT_GONE,
        Cause.SHUTDOWN,
        Cause.INTERNAL,
    }


def test_a_refusal_of_the_request_is_no_failure() -> None:
    assert {cause for cause, rule in RULES.items() if rule.failure is False} == {
        Cause.REJECTED,
        Cause.CONTEXT_LENGTH,
        Cause.CONTENT_POLICY,
    }


def test_silence_is_what_waited_for_a_deadline() -> None:
    assert {cause for cause, rule in RULES.items() if rule.silent} == {
        Cause.CONNECT_TIMEOUT,
        Cause.FIRST_EVENT_TIMEOUT,
        Cause.IDLE_TIMEOUT,
        Cause.TOTAL_TIMEOUT,
    }
