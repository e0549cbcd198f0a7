from __future__ import annotations

import math

from gateway.core.routing.blame.patience import PATIENCE, SHORTEST_PATIENCE, Patience
from gateway.core.routing.causes import Cause
from gateway.core.routing.health import Sample
from gateway.core.routing.hedging import MIN_SAMPLES

GONE = Cause.CLIENT_GONE


def answered(patience: Patience, seconds: float, times: int = 1, *, whole: bool = False) -> None:
    for _ in range(times):
        patience.add(Sample(None, seconds, seconds, whole=whole))


def test_what_is_usual_is_what_a_caller_must_have_waited_for() -> None:
    patience = Patience()
    assert patience.seconds() == PATIENCE
    answered(patience, 7.0)
    assert patience.seconds() == 7.0
    # The one long wait is no more than one of many.
    answered(patience, 0.2, 2 * MIN_SAMPLES)
    assert patience.seconds() == SHORTEST_PATIENCE
    assert not patience.exceeded(Sample(GONE, SHORTEST_PATIENCE))
    assert patience.exceeded(Sample(GONE, 1.1))
    assert repr(patience) == "<Patience of 1 s>"


def test_a_caller_who_was_answered_or_never_waited_is_not_late() -> None:
    patience = Patience()
    assert not patience.exceeded(Sample(GONE, 99.0, 0.3))
    assert not patience.exceeded(Sample(GONE))


def test_whole_answers_take_as_long_as_whole_answers() -> None:
    patience = Patience()
    answered(patience, 0.2)
    gone = Sample(GONE, 20.0, whole=True)
    assert patience.seconds(whole=True) == math.inf
    assert not patience.exceeded(gone)
    answered(patience, 12.0, whole=True)
    assert patience.exceeded(gone)
    # And streams as long as streams.
    assert patience.seconds() == SHORTEST_PATIENCE


def test_what_never_answered_teaches_nothing() -> None:
    patience = Patience()
    patience.add(Sample(None, 9.0))
    assert patience.seconds() == PATIENCE
