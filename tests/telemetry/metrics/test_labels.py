from __future__ import annotations

import pytest

from gateway.telemetry.metrics.labels import LONGEST, OTHER, LabelValues, clean


def test_as_many_as_there_is_room_for_are_told_apart() -> None:
    values = LabelValues(2)
    assert [values.add(each) for each in ("a", "b", "c", "a", "d")] == [
        "a",
        "b",
        OTHER,
        "a",
        OTHER,
    ]
    assert values.known("b") == "b"
    assert values.known("c") is None
    assert repr(values) == "<LabelValues 2 of 2>"


def test_asking_takes_no_place() -> None:
    values = LabelValues(1)
    assert values.known("a") is None
    assert values.add("b") == "b"


def test_what_is_too_long_gets_no_place() -> None:
    values = LabelValues(1)
    assert values.add("a" * (LONGEST + 1)) == OTHER
    assert values.add("a" * LONGEST) == "a" * LONGEST


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("gpt-4o", "gpt-4o"),
        ('say "hi" \\ 🦊', 'say "hi" \\ 🦊'),
        ("two\nlines\r\x1b[31m", "two\ufffdlines\ufffd\ufffd[31m"),
        ("half \ud800 a pair", "half \ufffd a pair"),
    ],
)
def test_what_could_confuse_is_replaced(value: str, shown: str) -> None:
    assert clean(value) == shown
    assert LabelValues(1).add(value) == shown
    shown.encode()
