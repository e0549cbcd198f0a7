"""Numbers as a person reads them: what is not known is never a zero."""

from __future__ import annotations

import pytest

from gateway.dashboard import formats


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (None, "\u2013"),
        (0, "$0.00"),
        (1, "$0.000000001"),
        (620_000, "$0.00062"),
        (48_000, "$0.000048"),
        (39_000_000, "$0.039"),
        (100_000_000, "$0.10"),
        (1_234_567_890, "$1.23"),
        (1_234_567_890_000, "$1,235"),
        (-500_000_000, "-$0.50"),
    ],
)
def test_money(nano: int | None, text: str) -> None:
    assert formats.money(nano) == text


@pytest.mark.parametrize(
    ("dollars", "text"),
    [(None, "\u2013"), (0, "$0.00"), (2.5, "$2.50"), (10, "$10.00"), (0.075, "$0.075"),
     (1234.5, "$1,234.50"), (0.0000001, "$0.0000001"), (0.1 + 0.2, "$0.30")],
)  # fmt: skip
def test_rate(dollars: float | None, text: str) -> None:
    assert formats.rate(dollars) == text


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (None, "not known"),
        (0, "$0.00"),
        (1, "$0.000000001"),
        (1_500_000_000, "$1.50"),
        (1_234_000_000_001, "$1,234.000000001"),
        (-1, "-$0.000000001"),
    ],
)
def test_exact_money(nano: int | None, text: str) -> None:
    assert formats.exact_money(nano) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "\u2013"), (0, "0"), (7, "7"), (999, "999"), (1000, "1k"), (1234, "1.23k"),
     (999_900, "1M"), (12_345_678, "12.3M"), (0.25, "0.25"), (-1500, "-1.5k")],
)  # fmt: skip
def test_compact(value: float | None, text: str) -> None:
    assert formats.compact(value) == text


@pytest.mark.parametrize(
    ("us", "text"),
    [(None, "\u2013"), (0, "0 ms"), (10, "0.01 ms"), (1500, "1.5 ms"), (12_000, "12 ms"),
     (999_600, "1.00 s"), (1_380_000, "1.38 s"), (12_340_000, "12.3 s"), (120_000_000, "2 min"),
     (3_725_000_000, "1 h 2 min")],
)  # fmt: skip
def test_duration(us: float | None, text: str) -> None:
    assert formats.duration(us) == text


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (None, "\u2013"),
        (0, "0 %"),
        (0.0001, "< 0.1 %"),
        (0.021, "2.1 %"),
        (0.5, "50 %"),
        (1, "100 %"),
    ],
)
def test_percent(part: float | None, text: str) -> None:
    assert formats.percent(part) == text


def test_size_and_span() -> None:
    assert [formats.size(each) for each in (None, 0, 1023, 1536, 1 << 30)] == [
        "\u2013", "0 B", "1023 B", "1.5 KiB", "1 GiB"]  # fmt: skip
    assert [formats.span(each) for each in (5.25, 90, 86_400 * 2 + 3600)] == [
        "5.2 s", "1 min 30 s", "2 d 1 h"]  # fmt: skip


def test_a_moment_is_an_element_with_utc_in_its_title() -> None:
    text = str(formats.moment(1_793_000_000_123_000))
    assert 'datetime="2026-10-26T07:33:20.123Z"' in text
    assert 'title="2026-10-26 07:33:20.123 UTC"' in text
