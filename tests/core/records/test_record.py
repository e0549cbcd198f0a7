from __future__ import annotations

import msgspec
import pytest

from gateway.core.records.record import WELL, AttemptRecord, EndReason, Record, milliseconds


def test_a_record_says_nothing_it_does_not_know() -> None:
    record = Record(request_id="req_1", time=1.0)
    assert msgspec.to_builtins(record) == {
        **dict.fromkeys(
            ["token", "model", "provider", "provider_model", "error", "user", "client"]
        ),
        **dict.fromkeys(["input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"]),
        **dict.fromkeys(["cache_write_tokens", "input_audio_tokens", "output_audio_tokens"]),
        **dict.fromkeys(["input_image_tokens", "output_image_tokens", "reported_cost_nano_usd"]),
        **dict.fromkeys(["cost_nano_usd", "first_event_ms", "error_code", "session"]),
        **dict.fromkeys(["user_agent", "trace_id", "metadata", "fallback_model"]),
        **dict.fromkeys(["team", "labels"]),
        "skipped": [],
        "dropped": [],
        "price_source": None,
        "counted_by": None,
        "cache_write_1h_tokens": None,
        "operation": "chat",
        "request_id": "req_1",
        "time": 1.0,
        "stream": False,
        # Until something else is known: the caller left, and it was our fault.
        "status": 499,
        "end_reason": "internal_error",
        "latency_ms": 0.0,
        "attempts": [],
        "events": 0,
        "malformed_events": 0,
        "cached": False,
    }


def test_records_share_no_attempts() -> None:
    one, other = Record(request_id="1", time=0), Record(request_id="2", time=0)
    one.attempts.append(AttemptRecord(provider="p", model="m"))
    assert other.attempts == []


def test_an_attempt_leaves_out_what_is_not_there() -> None:
    assert msgspec.to_builtins(AttemptRecord(provider="p", model="m", status=200)) == {
        "provider": "p",
        "model": "m",
        "status": 200,
    }


def test_end_reasons_are_their_own_labels() -> None:
    assert all(str(reason) == reason.value == reason.value.lower() for reason in EndReason)


def test_a_request_failed_unless_it_was_answered_or_its_caller_left() -> None:
    assert {reason.value for reason in WELL} == {"complete", "cached", "client_gone"}
    # As it is in a journal that was read back: a plain text.
    assert "cached" in WELL
    assert "upstream_broke" not in WELL


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, 0), (1.5, 1500), (0.0012345678, 1.235), (600, 600_000)]
)
def test_milliseconds(seconds: float, expected: float) -> None:
    assert milliseconds(seconds) == expected
