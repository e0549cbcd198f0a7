"""Every code has words."""

from __future__ import annotations

from gateway.core.records.record import EndReason
from gateway.core.routing.balancing.strategies import STRATEGIES
from gateway.core.routing.causes import Cause, SkipReason
from gateway.dashboard.views.explanations import CAUSES, CHOICES, ENDS, SKIPS


def test_the_tables_are_total() -> None:
    assert {*ENDS} == {*EndReason}
    assert {*CAUSES} == {each.value for each in Cause}
    assert {*SKIPS} == {each.value for each in SkipReason}
    assert {*CHOICES} == {*STRATEGIES}
