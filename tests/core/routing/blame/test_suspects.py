"""What is concluded from failures; `test_target.py` has what that leads to."""

from __future__ import annotations

from gateway.core.routing.blame.source import Source
from gateway.core.routing.blame.suspects import MOST, Blame, Suspects
from gateway.core.routing.breaker.policy import BreakerPolicy
from gateway.core.routing.breaker.states import Permit

POLICY = BreakerPolicy(consecutive_failures=3, open_time=5, successes=1)
A, B = Source("a", b"1"), Source("b", b"1")


def half() -> float:
    return 0.5


def failed(
    suspects: Suspects, source: Source | None, now: float = 0.0, *, by_request: bool = True
) -> Blame:
    return suspects.failed(source, None, now, half, by_request=by_request)


def test_one_callers_own_are_never_enough() -> None:
    suspects = Suspects(POLICY)
    assert not any(failed(suspects, A).by_row for _ in range(10))
    assert failed(suspects, B).by_row


def test_without_a_source_nobody_is_to_blame() -> None:
    suspects = Suspects(POLICY)
    assert [failed(suspects, None).by_row for _ in range(3)] == [False, False, True]
    assert len(suspects.known) == 0


def test_what_no_request_brings_about_makes_nobody_a_suspect() -> None:
    suspects = Suspects(POLICY)
    found = [failed(suspects, A, by_request=False).by_row for _ in range(3)]
    assert found == [False, False, True]
    assert len(suspects.known) == 0


def test_a_success_of_anybody_starts_over() -> None:
    suspects = Suspects(POLICY)
    failed(suspects, A)
    suspects.succeeded(Source("c", b""), None, 0, half)
    assert not failed(suspects, B).by_row
    assert failed(suspects, A).by_row


def test_who_has_failed_is_told_with_its_share() -> None:
    suspects = Suspects(POLICY)
    failed(suspects, A)
    suspects.succeeded(A, None, 0, half)
    failed(suspects, B)
    found = failed(suspects, A)
    assert (found.requests, found.failures) == (3, 2)


def test_its_own_breaker_is_told_when_it_opens() -> None:
    suspects = Suspects(POLICY)
    found = [failed(suspects, A).closed_to for _ in range(3)]
    assert found[:2] == [None, None]
    assert found[2] is not None
    assert (found[2].name, found[2].body) == ("a", A.digest)
    assert suspects.opens == 1
    assert suspects.kept_out is found[2]
    assert suspects.barred(A, 0) is found[2]
    assert suspects.barred(Source("a", b"2"), 0) is None
    assert suspects.barred(B, 0) is None
    assert repr(found[2]) == "<Suspect a, <Breaker open, 0 failed, 1 opens>>"


def test_a_body_long_ago_is_not_held_against_another() -> None:
    suspects = Suspects(POLICY)
    failed(suspects, A, 0)
    other = Source("a", b"2")
    for _ in range(3):
        failed(suspects, other, 100)
    assert suspects.barred(other, 100) is not None
    assert suspects.barred(A, 100) is None


def test_who_is_well_again_is_forgotten() -> None:
    suspects = Suspects(POLICY)
    failed(suspects, A, 0)
    suspects.succeeded(A, None, 1, half)
    assert len(suspects.known) == 1
    suspects.succeeded(A, None, 100, half)
    assert len(suspects.known) == 0


def test_probes_are_let_through_one_at_a_time_and_close_it() -> None:
    suspects = Suspects(POLICY)
    for _ in range(3):
        failed(suspects, A)
    held = suspects.enter(A, 5)
    assert held is not None
    assert held.permit is Permit.PROBE
    assert suspects.barred(A, 5) is not None
    # The second time it is a probe no more.
    for _ in range(2):
        suspects.answered(held, 6, half)
        assert suspects.barred(A, 6) is None
    suspects.succeeded(A, held, 7, half)
    assert suspects.kept_out is None


def test_a_failed_probe_opens_it_again() -> None:
    suspects = Suspects(POLICY)
    for _ in range(3):
        failed(suspects, A)
    held = suspects.enter(A, 5)
    suspects.failed(A, held, 6, half, by_request=True)
    barred = suspects.barred(A, 15)
    assert barred is not None
    assert barred.breaker.retry_at(15) == 16
    assert suspects.opens == 2


def test_another_body_holds_no_probe() -> None:
    suspects = Suspects(POLICY)
    for _ in range(3):
        failed(suspects, A)
    held = suspects.enter(Source("a", b"2"), 5)
    assert held is not None
    assert held.permit is Permit.NORMAL
    suspects.released(held, 5, half)
    assert suspects.barred(A, 5) is None


def test_it_does_not_grow_without_end() -> None:
    suspects = Suspects(POLICY)
    for number in range(MOST):
        failed(suspects, Source(None, b"%d" % number), 0)
    # Those whose failures are of the past go first, the oldest if there are none.
    failed(suspects, Source(None, b"new"), 0)
    assert len(suspects.known) == MOST
    failed(suspects, Source(None, b"newest"), 100)
    assert len(suspects.known) == 1


def test_a_new_policy_is_that_of_all() -> None:
    suspects = Suspects(POLICY)
    for _ in range(3):
        failed(suspects, A)
    suspects.policy = BreakerPolicy(enabled=False)
    assert suspects.barred(A, 0) is None
    suspects.policy = BreakerPolicy(window=99)
    assert len(suspects.known) == 0


def test_soft_failures_count_half_in_a_row() -> None:
    suspects = Suspects(POLICY)
    found = [
        suspects.failed(A, None, 0, half, by_request=True, soft=True).closed_to for _ in range(6)
    ]
    assert [each is None for each in found] == [True] * 5 + [False]
