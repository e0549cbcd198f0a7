"""A flood of refused sign-ins leaves a few rows, and none of it goes uncounted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.accounts.failed_sign_ins import OF_ALL, OF_ONE, WINDOW, FailedSignIns

pytestmark = pytest.mark.slow


def test_a_few_are_all_written_down() -> None:
    refusals = FailedSignIns()
    assert [refusals.note("a", now) for now in range(OF_ONE)] == [0] * OF_ONE
    assert refusals.note("a", OF_ONE) is None
    assert refusals.note("b", OF_ONE) == 1
    assert refusals.note(None, OF_ONE) == 0


def test_the_next_minute_begins_anew_and_says_what_was_left_out() -> None:
    refusals = FailedSignIns()
    for _ in range(500):
        refusals.note("a", 5.0)
    assert refusals.note("a", 5.0 + WINDOW - 0.1) is None
    assert refusals.note("a", 5.0 + WINDOW) == 500 - OF_ONE + 1
    assert refusals.note("a", 5.0 + WINDOW) == 0


def test_many_addresses_are_no_way_around_it() -> None:
    refusals = FailedSignIns()
    written = [refusals.note(f"2001:db8::{number:x}", 1.0) for number in range(20_000)]
    assert len([each for each in written if each is not None]) == OF_ALL
    assert len(refusals._of) <= 1000


@given(st.lists(st.tuples(st.sampled_from([None, "a", "b", "c"]), st.floats(0, 20)), max_size=300))
def test_every_refusal_is_counted_once(calls: list[tuple[str | None, float]]) -> None:
    refusals = FailedSignIns()
    now = 0.0
    counted = 0
    for address, passed in calls:
        now += passed
        unwritten = refusals.note(address, now)
        if unwritten is not None:
            counted += 1 + unwritten
    last = refusals.note("d", now + WINDOW)
    assert last is not None
    assert counted + last == len(calls)
