"""Numbers, money, durations and sizes as a person reads them.

What is not known is a dash, and never a zero.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from markupsafe import Markup

UNKNOWN: Final = "\u2013"
NANO: Final = 1_000_000_000
# Seconds: the first and the last moment that has a year of four digits. A key may expire later.
_FIRST: Final = -62_135_596_800
_LAST: Final = 253_402_300_799
_THOUSANDS: Final = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
_BYTES: Final = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


def number(value: float | None) -> str:
    """Return all digits, in groups: 12,345."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}"


def compact(value: float | None) -> str:
    """Return three digits or so: 12.3k."""
    if value is None:
        return UNKNOWN
    for size, letter in _THOUSANDS:
        if abs(value) >= size * 0.9995:
            return f"{_three(value / size)}{letter}"
    return _three(value)


def money(nano_usd: float | None) -> str:
    """Return dollars: two decimals, and more where the first digits would otherwise be zeros."""
    if nano_usd is None:
        return UNKNOWN
    sign, size = ("-" if nano_usd < 0 else ""), abs(nano_usd / NANO)
    if size == 0:
        return "$0.00"
    if size >= 1000:
        return f"{sign}${size:,.0f}"
    if size >= 0.1:
        return f"{sign}${size:,.2f}"
    for digits in (3, 4, 5, 6):
        if round(size, digits) >= 10 ** (1 - digits):
            return f"{sign}${size:.{digits}f}"
    return f"{sign}${size:.9f}".rstrip("0")


def exact_money(nano_usd: int | None) -> str:
    """Return dollars to the last billionth."""
    if nano_usd is None:
        return "not known"
    sign, rest = ("-", -nano_usd) if nano_usd < 0 else ("", nano_usd)
    text = f"{rest // NANO:,}.{rest % NANO:09d}".rstrip("0")
    whole, _, part = text.partition(".")
    return f"{sign}${whole}.{part.ljust(2, '0')}"


def rate(dollars: float | None) -> str:
    """Return a price as configured: two decimals, or as many as it has."""
    if dollars is None:
        return UNKNOWN
    text = f"{dollars:,.12f}".rstrip("0")
    whole, _, part = text.partition(".")
    return f"${whole}.{part.ljust(2, '0')}"


def duration(microseconds: float | None) -> str:
    if microseconds is None:
        return UNKNOWN
    ms = microseconds / 1000
    if ms == 0:
        return "0 ms"
    if ms < 1:
        return f"{ms:.2f} ms"
    if ms < 999.5:
        return f"{ms:.0f} ms" if ms >= 10 else f"{ms:.1f} ms"
    seconds = ms / 1000
    if seconds < 99.5:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    return span(seconds)


def span(seconds: float | None) -> str:
    """Return a longer time in its two largest units: 2 h 5 min."""
    if seconds is None:
        return UNKNOWN
    whole = round(seconds)
    for unit, size, below, smaller in (("d", 86_400, 3600, "h"), ("h", 3600, 60, "min")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    if whole >= 60:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"


def percent(part: float | None) -> str:
    if part is None:
        return UNKNOWN
    value = part * 100
    if value == 0 or abs(value) >= 9.95:
        return f"{value:,.0f} %"
    return f"{value:.1f} %" if abs(value) >= 0.095 else "< 0.1 %"


def size(count: float | None) -> str:
    if count is None:
        return UNKNOWN
    for unit, many in _BYTES:
        if count >= many:
            return f"{_three(count / many)} {unit}"
    return f"{count:.0f} B"


def iso(microseconds: int) -> str:
    """Return a time in UTC to the millisecond, as a browser and a person can read it."""
    at = datetime.fromtimestamp(max(_FIRST, min(microseconds // 1000 / 1000, _LAST)), UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(microseconds: int | None, show: str = "datetime") -> Markup:
    """Return a `time` element, which the page's script puts into the viewer's zone."""
    if microseconds is None:
        return Markup("&ndash;")
    text = iso(microseconds)
    shown = Markup("{}").format(text[11:19])
    if show == "datetime":
        # A phone leaves the year out, by its styles: text that a script changes would jump.
        shown = Markup('<span class="year">{}</span>{} {}').format(text[:5], text[5:10], shown)
    return Markup('<time datetime="{}" data-show="{}" title="{} UTC">{}</time>').format(
        text, show, f"{text[:10]} {text[11:-1]}", shown
    )


def pretty(value: Any) -> str:
    """Return a value as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _three(value: float) -> str:
    size_ = abs(value)
    if size_ >= 99.95 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if size_ >= 9.95 else f"{value:.2f}".rstrip("0").rstrip(".")
