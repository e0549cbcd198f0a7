from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.core.capture.capture import (
    PIECE_BYTES,
    Capture,
    CapturedRequest,
    CapturePolicy,
    MemoryBudget,
)
from gateway.core.records.record import EndReason

CALLER = (b"user-agent", b"test")


def never() -> float:
    raise AssertionError("chance was asked")


def request(body: bytes = b"{}", headers: tuple[tuple[bytes, bytes], ...] = ()) -> CapturedRequest:
    return CapturedRequest(
        request_id="r",
        time=0.0,
        token="t",
        model="m",
        method="POST",
        target="/",
        headers=headers,
        body=body,
        arrived=0.0,
    )


def capture(max_bytes: int = 1000, body: bytes = b"{}", room: int = 10_000) -> Capture:
    return Capture(request(body), CapturePolicy(max_bytes=max_bytes), MemoryBudget(room))


SOME = CapturePolicy(
    tokens=frozenset({"a"}), models=frozenset({"m"}), beginnings=("openai/",), sample=0.25
)


@pytest.mark.parametrize(
    ("policy", "token", "model", "rng", "selected"),
    [
        (SOME, "a", "x", never, True),
        (SOME, "b", "m", never, True),
        (SOME, "b", "openai/gpt", never, True),
        (SOME, None, "openai/", never, True),
        (SOME, "b", "x", lambda: 0.249, True),
        (SOME, "b", "x", lambda: 0.25, False),
        (CapturePolicy(tokens=frozenset({"a"})), "b", "m", never, False),
        (CapturePolicy(tokens=frozenset({"a"}), errors_only=True), "b", "m", never, False),
        (CapturePolicy(models=frozenset({"m"}), errors_only=True), "b", "m", never, True),
        (CapturePolicy(errors_only=True), "b", "x", never, True),
        (CapturePolicy(errors_only=True), None, "x", never, True),
        (CapturePolicy(sample=1.0), "b", "x", lambda: 0.9999, True),
        (CapturePolicy(beginnings=("",)), "b", "x", never, True),
    ],
)
def test_who_is_selected(
    policy: CapturePolicy,
    token: str | None,
    model: str,
    rng: Callable[[], float],
    selected: bool,
) -> None:
    assert policy.selects(token, model, rng) is selected


def test_what_is_kept() -> None:
    errors = CapturePolicy(errors_only=True)
    for reason in EndReason:
        well = reason in ("complete", "cached")
        assert errors.keeps(200, reason) is not well
        assert errors.keeps(400, reason)
        assert errors.keeps(499, reason)
        assert CapturePolicy().keeps(200, reason)


def test_pieces_come_back_with_their_times() -> None:
    kept = capture()
    kept.head(200, (CALLER,), 0.5, stream=True)
    kept.add(b"one", 1.0)
    kept.add(b"", 1.5)
    kept.add(b"two", 2.0)
    assert list(kept.pieces()) == [(1.0, b"one"), (2.0, b"two")]
    assert (kept.status, kept.answer_at, kept.answered_at) == (200, 0.5, 2.0)
    assert (kept.lost, kept.body_cut) == (0, False)


def test_what_is_beyond_the_bound_is_counted_and_leaves_no_gap() -> None:
    kept = capture(max_bytes=100)
    left = 100 - len(b"{}")
    kept.add(b"a" * 50, 1.0)
    kept.add(b"b" * 50, 2.0)
    kept.add(b"c", 3.0)
    fits = left - 50 - 2 * PIECE_BYTES
    assert list(kept.pieces()) == [(1.0, b"a" * 50), (2.0, b"b" * fits)]
    assert kept.lost == 50 - fits + 1


def test_a_long_body_is_cut_and_leaves_nothing_for_the_answer() -> None:
    kept = capture(max_bytes=100, body=b"x" * 101)
    assert (kept.request.body, kept.body_cut) == (b"x" * 100, True)
    kept.add(b"answer", 1.0)
    assert (kept.lost, list(kept.pieces())) == (6, [])


@pytest.mark.parametrize("size", [1, 15, 16, 17, 18, 99, 100, 101, 1000])
@pytest.mark.parametrize("max_bytes", [1, 16, 40, 200])
def test_never_more_than_the_bound(size: int, max_bytes: int) -> None:
    room = MemoryBudget(10_000)
    kept = Capture(request(b"y" * size), CapturePolicy(max_bytes=max_bytes), room)
    for at in range(20):
        kept.add(b"z" * size, float(at))
    held = sum(len(data) + PIECE_BYTES for _, data in kept.pieces())
    assert len(kept.request.body) + held == room.taken <= max_bytes
    assert kept.lost + len(kept.answer) == 20 * size
    kept.release()
    kept.release()
    assert room.taken == 0


def test_without_room_a_capture_is_given_up() -> None:
    room = MemoryBudget(100)
    first = Capture(request(b"a" * 60), CapturePolicy(), room)
    second = Capture(request(b"b" * 60), CapturePolicy(), room)
    assert (first.given_up, second.given_up) == (False, True)
    assert room.taken == 60
    first.head(200, (CALLER,), 0.0, stream=True)
    first.add(b"c" * 60, 1.0)
    assert first.given_up
    assert room.taken == 0
    assert (first.request.body, bytes(first.answer), list(first.pieces())) == (b"", b"", [])
    first.add(b"d", 2.0)
    first.head(200, (CALLER,), 0.0, stream=True)
    second.add(b"d", 2.0)
    first.release()
    assert room.taken == 0
    assert "given up" in repr(first)


def test_headers_count() -> None:
    room = MemoryBudget(1000)
    kept = Capture(request(b"12345", (CALLER,)), CapturePolicy(), room)
    assert room.taken == 5 + len(b"user-agenttest")
    kept.head(200, (CALLER, CALLER), 0.0, stream=False)
    assert room.taken == 5 + 3 * len(b"user-agenttest")
