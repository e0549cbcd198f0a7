from __future__ import annotations

from gateway.core.routing.blame.source import Source


def test_a_caller_is_known_by_its_name_whatever_it_sends() -> None:
    assert Source("a", b"1").name == Source("a", b"2").name != Source("b", b"1").name


def test_bodies_stand_for_callers_that_are_not_told_apart() -> None:
    assert Source(None, b"1").name == Source(None, bytes([49])).name != Source(None, b"2").name


def test_equal_bodies_have_one_digest() -> None:
    assert Source("a", b"1").digest == Source("b", bytes([49])).digest != Source("a", b"2").digest
