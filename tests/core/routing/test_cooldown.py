from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.routing.backoff import LONGEST_ASKED
from gateway.core.routing.cooldown import asked_wait

EPOCH = 1_767_225_600.0  # 2026-01-01T00:00:00Z
Headers = list[tuple[bytes, bytes]]


def openai(
    requests: tuple[bytes, bytes] | None = None, tokens: tuple[bytes, bytes] | None = None
) -> Headers:
    found: Headers = []
    for name, pair in ((b"requests", requests), (b"tokens", tokens)):
        if pair is not None:
            found.append((b"x-ratelimit-limit-" + name, b"100"))
            found.append((b"x-ratelimit-remaining-" + name, pair[0]))
            found.append((b"x-ratelimit-reset-" + name, pair[1]))
    return found


def anthropic(name: bytes, remaining: bytes, reset: bytes) -> Headers:
    prefix = b"anthropic-ratelimit-" + name
    return [(prefix + b"-remaining", remaining), (prefix + b"-reset", reset)]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        # Who says it outright is believed.
        ([(b"retry-after", b"7"), *openai((b"0", b"60s"))], 7),
        ([(b"retry-after-ms", b"1500"), *openai((b"0", b"60s"))], 1.5),
        ([(b"retry-after", b"0"), *openai((b"0", b"60s"))], 0),
        ([(b"retry-after", b"soon"), *openai((b"0", b"60s"))], 60),
        # OpenAI: of the dimensions of which nothing remains, the longest.
        (openai((b"0", b"6m0s"), (b"100", b"1h")), 360),
        (openai((b"5", b"6m0s"), (b"0", b"20ms")), 0.02),
        (openai((b"0", b"1s"), (b"0", b"6m0s")), 360),
        (openai((b"1", b"1s"), (b"1", b"6m0s")), None),
        (openai((b"-3", b"2s")), 2),
        (openai((b"0.0", b"2s")), 2),
        # Groq: https://console.groq.com/docs/rate-limits
        (openai((b"14370", b"2m59.56s"), (b"0", b"7.66s")), 7.66),
        (openai((b"0", b"2m59.56s"), (b"17997", b"7.66s")), 179.56),
        # Anthropic: the reset is a moment.
        (anthropic(b"requests", b"0", b"2026-01-01T00:00:30Z"), 30),
        (anthropic(b"input-tokens", b"0", b"2026-01-01T01:00:00+01:00"), 0),
        (anthropic(b"output-tokens", b"0", b"2026-01-01T00:00:01.5Z"), 1.5),
        (anthropic(b"tokens", b"12", b"2026-01-01T00:00:30Z"), None),
        (
            anthropic(b"tokens", b"0", b"2026-01-01T00:00:30Z")
            + anthropic(b"requests", b"0", b"2026-01-01T00:01:00Z"),
            60,
        ),
        # Others: the same names without a dimension; OpenRouter's is Unix time in ms.
        ([(b"x-ratelimit-remaining", b"0"), (b"x-ratelimit-reset", b"1767225660000")], 60),
        ([(b"x-ratelimit-remaining", b"0"), (b"x-ratelimit-reset", b"1767225660")], 60),
        ([(b"x-ratelimit-remaining", b"0"), (b"x-ratelimit-reset", b"1767225660.5")], 60.5),
        ([(b"x-ratelimit-remaining", b"0"), (b"x-ratelimit-reset", b"12.5")], 12.5),
        # Nothing of the kind.
        ([], None),
        ([(b"content-type", b"text/html")], None),
        ([(b"x-ratelimit-remaining", b"0")], None),
        ([(b"x-ratelimit-reset", b"12")], None),
        ([(b"x-other-remaining", b"0"), (b"x-other-reset", b"12")], None),
    ],
)
def test_asked_wait(headers: Headers, seconds: float | None) -> None:
    found = asked_wait(headers, EPOCH)
    # A moment minus another is exact to a microsecond.
    assert found == (None if seconds is None else pytest.approx(seconds, abs=1e-6))


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        (b"1s", 1),
        (b"0s", 0),
        (b"20ms", 0.02),
        (b"1.5ms", 0.0015),
        (b"6m0s", 360),
        (b"1h0m0s", 3600),
        (b"1d2h3m4.5s", 86400 + 7200 + 180 + 4.5),
        (b"1s500ms", 1.5),
        (b" 7.66s ", 7.66),
        (b"400d", LONGEST_ASKED),
        (b"9" * 30 + b"s", LONGEST_ASKED),
        (b"-5", 0),
        (b"99999999", LONGEST_ASKED),
        # Dates that are past, near, and further away than anybody waits.
        (b"1700000000", 0),
        (b"1700000000000", 0),
        (b"2020-01-01T00:00:00Z", 0),
        (b"2026-01-01T00:00:05", 5),
        (b"2070-01-01T00:00:00Z", LONGEST_ASKED),
        (b"9999-12-31T23:59:59-23:59", LONGEST_ASKED),
        (b"0001-01-01T00:00:00+23:59", 0),
        # Garbage.
        (b"", None),
        (b"s", None),
        (b"soon", None),
        (b"1x", None),
        (b"1s1m", None),
        (b"-1s", None),
        (b"1 s", None),
        (b"nan", None),
        (b"inf", None),
        (b"1e999", None),
        (b"9" * 400 + b"s", None),
        (b"\xff", None),
        (b"2026-13-01T00:00:00Z", None),
    ],
)
def test_a_reset(reset: bytes, seconds: float | None) -> None:
    assert asked_wait(openai((b"0", reset)), EPOCH) == (
        None if seconds is None else pytest.approx(seconds, abs=1e-6)
    )


@pytest.mark.parametrize("remaining", [b"", b"none", b"nan", b"1", b"0.5", b"inf"])
def test_what_may_remain_is_no_reason_to_wait(remaining: bytes) -> None:
    assert asked_wait(openai((remaining, b"9s")), EPOCH) is None


NAMES = st.sampled_from(
    [
        b"retry-after",
        b"retry-after-ms",
        b"x-ratelimit-remaining",
        b"x-ratelimit-reset",
        b"anthropic-ratelimit-tokens-remaining",
        b"anthropic-ratelimit-tokens-reset",
    ]
)
VALUES = (
    st.binary(max_size=30)
    | st.text("0123456789.smhd-+:TZe ", max_size=25).map(str.encode)
    | st.floats().map(lambda number: str(number).encode())
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8), st.floats(0, 1e10))
def test_whatever_is_said_the_wait_is_bounded(headers: Headers, epoch: float) -> None:
    found = asked_wait([(b"x-ratelimit-remaining", b"0"), *headers], epoch)
    assert found is None or 0 <= found <= LONGEST_ASKED
