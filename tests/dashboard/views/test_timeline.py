"""One request's attempts on one line of time."""

from __future__ import annotations

from typing import Any

from gateway.dashboard.views.timeline import timeline


def attempt(model: str, wait: int, took: int, **more: Any) -> dict[str, Any]:
    return {"provider": "p", "model": model, "cause": None, "status": 200, "error": None,
            "wait_us": wait, "duration_us": took, "first_event_us": None, **more}  # fmt: skip


def test_attempts_follow_each_other_after_their_waits_and_skips_stand_between() -> None:
    row = {
        "latency_us": 1000,
        "skipped": [{"provider": "q", "model": "m", "reason": "circuit_open", "at_ms": 0.25}],
        "tried": [
            attempt("a", 0, 200, cause="server_error", status=500, error="no"),
            attempt("b", 300, 500, first_event_us=100),
        ],
    }
    failed, skipped, good = timeline(row)
    assert (failed.name, failed.state, failed.why) == ("p/a", "bad", "an error of the provider")
    assert [(each.kind, each.start, each.width) for each in failed.pieces] == [("failed", 0, 200)]
    assert (skipped.name, skipped.result, skipped.why) == ("q/m", "skipped", "its breaker is open")
    assert skipped.starts == 250
    assert good.starts == 500
    assert [(each.kind, each.start, each.width) for each in good.pieces] == [
        ("wait", 200, 300), ("before", 500, 100), ("after", 600, 400)]  # fmt: skip


def test_each_attempt_says_why_it_was_this_deployment() -> None:
    tried = [
        attempt("a", 0, 10, cause="server_error"),
        attempt("a", 0, 10, cause="hedged"),
        attempt("b", 0, 10, cause="server_error"),
        attempt("c", 0, 10),
    ]
    row = {"latency_us": 100, "skipped": None, "tried": tried}
    assert [each.chosen for each in timeline(row, "cheapest")] == [
        "the cheapest",
        "tried again",
        "a hedge: asked as well, since the answer was slow to come",
        "next after the failure before",
    ]
    won = [attempt("a", 0, 10), attempt("b", 0, 10, cause="hedged")]
    assert timeline({**row, "tried": won})[1].chosen.startswith("a hedge")
    again = {**row, "tried": [tried[0], attempt("a", 0, 10)], "fallback_model": None}
    assert [each.chosen for each in timeline(again)] == ["", "tried again"]
    fallback = {**row, "tried": [tried[0], tried[3]], "fallback_model": "small"}
    assert timeline(fallback)[-1].chosen == "the fallback small"
    skips = [{"provider": "q", "model": "m", "reason": "drained", "at_ms": 0.0}]
    skipped, asked = timeline({**row, "skipped": skips, "tried": [attempt("a", 0, 10)]}, "priority")
    assert (skipped.chosen, asked.chosen) == ("", "next after what was skipped")
    # The time of a skip is exact, that of an attempt is counted from its waits.
    late = [{**skips[0], "at_ms": 0.005}]
    after = [attempt("a", 0, 10, cause="server_error"), attempt("b", 0, 10)]
    names = [each.name for each in timeline({**row, "skipped": late, "tried": after}, "priority")]
    assert names == ["q/m", "p/a", "p/b"]
    between = [{**skips[0], "at_ms": 0.012}]
    names = [each.name for each in timeline({**row, "skipped": between, "tried": after})]
    assert names == ["p/a", "q/m", "p/b"]
    none = {**row, "skipped": between, "tried": []}
    assert [each.name for each in timeline(none)] == ["q/m"]


def test_an_attempt_begins_after_what_was_skipped_on_the_way_to_it() -> None:
    skip = {"provider": "q", "model": "m", "reason": "circuit_open", "at_ms": 0.04}
    row = {"latency_us": 100, "skipped": [skip], "tried": [attempt("a", 0, 50)]}
    skipped, asked = timeline(row)
    assert (skipped.starts, asked.starts) == (40, 40)
    # Not if it took too long for that: then it was skipped beside the attempt.
    assert timeline({**row, "tried": [attempt("a", 0, 80)]})[1].starts == 0
    failed = attempt("a", 0, 30, cause="server_error")
    first, skipped, second = timeline({**row, "tried": [failed, attempt("b", 0, 50)]})
    assert (first.starts, skipped.starts, second.starts) == (0, 40, 40)


def test_nothing_reaches_beyond_the_end_and_everything_can_be_seen() -> None:
    # Hedged attempts overlap, so that their durations are more than the whole.
    row = {"latency_us": 100, "skipped": None,
           "tried": [attempt("a", 0, 90, cause="hedged"), attempt("b", 0, 90),
                     attempt("c", 500, 0, cause="new_cause", status=None)]}  # fmt: skip
    for step in timeline(row):
        for piece in step.pieces:
            assert 0 <= piece.start < 1000
            assert piece.width >= 4
    assert timeline(row)[-1].why in ("new_cause", "answered", "another attempt was faster")
    assert timeline({"latency_us": 0, "skipped": None, "tried": []}) == []
