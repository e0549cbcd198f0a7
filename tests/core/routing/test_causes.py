from __future__ import annotations

import pytest

from gateway.core.routing.causes import RULES, Again, Cause, of_status


def test_every_cause_has_a_rule() -> None:
    assert list(RULES) == list(Cause)


def test_nothing_leads_elsewhere_after_commit_or_by_our_own_hand() -> None:
    nowhere = {cause for cause, rule in RULES.items() if rule.again is Again.NOWHERE}
    assert nowhere == {
        Cause.TOTAL_TIMEOUT,
        Cause.REJECTED,
        Cause.TRUNCATED,
        Cause.CLIENT_GONE,
        Cause.SHUTDOWN,
        Cause.INTERNAL,
    }


def test_what_is_not_the_providers_doing_says_nothing_of_its_health() -> None:
    silent = {cause for cause, rule in RULES.items() if rule.failure is None}
    assert silent == {
        Cause.POOL_TIMEOUT,
        Cause.RATE_LIMITED,
        Cause.AUTH_FAILED,
        Cause.CLIENT_GONE,
        Cause.SHUTDOWN,
        Cause.INTERNAL,
    }


def test_silence_is_what_waited_for_a_deadline() -> None:
    assert {cause for cause, rule in RULES.items() if rule.silent} == {
        Cause.CONNECT_TIMEOUT,
        Cause.FIRST_EVENT_TIMEOUT,
        Cause.IDLE_TIMEOUT,
        Cause.TOTAL_TIMEOUT,
    }


@pytest.mark.parametrize(
    ("statuses", "cause"),
    [
        ([200, 201, 204, 299], None),
        ([100, 301, 302, 304, 307, 308, 407, 0], Cause.PROTOCOL_VIOLATION),
        ([401, 402, 403], Cause.AUTH_FAILED),
        ([400, 404, 405, 409, 410, 413, 415, 422, 451, 499], Cause.REJECTED),
        ([429], Cause.RATE_LIMITED),
        ([408, 500, 502, 503, 504, 520, 529, 599, 999], Cause.SERVER_ERROR),
    ],
)
def test_of_status(statuses: list[int], cause: Cause | None) -> None:
    assert {of_status(status) for status in statuses} == {cause}


def test_every_status_has_an_answer_and_only_success_has_no_cause() -> None:
    fine = [status for status in range(1000) if of_status(status) is None]
    assert fine == list(range(200, 300))
