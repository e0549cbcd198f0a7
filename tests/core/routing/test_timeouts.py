from __future__ import annotations

import math

import pytest

from gateway.core.routing.timeouts import TimeoutOverrides, Timeouts, deadline


def test_override_changes_what_it_sets_and_nothing_else() -> None:
    timeouts = Timeouts(connect=1, first_event=2, idle=3, total=4)
    assert timeouts.override(TimeoutOverrides()) == timeouts
    assert timeouts.override(TimeoutOverrides(idle=9)) == Timeouts(
        connect=1, first_event=2, idle=9, total=4
    )
    # 0 is a setting: off.
    assert timeouts.override(TimeoutOverrides(connect=0, total=0)) == Timeouts(
        connect=0, first_event=2, idle=3, total=0
    )


def test_overrides_know_every_timeout() -> None:
    assert TimeoutOverrides.__struct_fields__ == Timeouts.__struct_fields__


@pytest.mark.parametrize(
    ("now", "seconds", "expected"), [(100.0, 2.5, 102.5), (-5.0, 1.0, -4.0), (100.0, 0.0, math.inf)]
)
def test_deadline(now: float, seconds: float, expected: float) -> None:
    assert deadline(now, seconds) == expected
