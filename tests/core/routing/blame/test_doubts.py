from __future__ import annotations

from gateway.core.routing.blame.doubts import MOST, Doubts
from gateway.core.routing.blame.source import Source


def test_callers_are_counted_once() -> None:
    doubts = Doubts()
    for body in (b"1", b"2", b"2"):
        doubts.add(Source("a", body))
    assert (doubts.count, doubts.callers) == (3, 1)
    doubts.add(Source("b", b"1"))
    assert (doubts.count, doubts.callers) == (4, 2)
    assert repr(doubts) == "<Doubts 4 by 2>"


def test_who_is_not_known_is_another_each_time() -> None:
    doubts = Doubts()
    doubts.add(None)
    doubts.add(None)
    assert (doubts.count, doubts.callers) == (2, 2)


def test_it_knows_whom_it_was_refused_to_and_for_what() -> None:
    doubts = Doubts()
    doubts.add(Source("a", b"1"))
    assert doubts.include(Source("a", b"1"))
    assert not doubts.include(Source("a", b"2"))
    assert not doubts.include(Source("b", b"1"))


def test_it_does_not_grow_without_end() -> None:
    doubts = Doubts()
    for number in range(1000):
        doubts.add(Source(None, b"%d" % number))
    assert (doubts.count, doubts.callers) == (1000, MOST)
