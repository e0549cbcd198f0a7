from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import select
from collections.abc import Iterator

import msgspec
import pytest
import structlog
import trio
from structlog.testing import LogCapture
from trio.testing import MockClock

from gateway.core.records.record import AttemptRecord, EndReason, Record
from gateway.telemetry import lines
from gateway.telemetry.line_file import Written
from gateway.telemetry.lines import BATCH_SECONDS, FLUSH_SECONDS, LineRecorder, shown


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> LogCapture:
    capture = LogCapture()
    logger = structlog.wrap_logger(None, processors=[capture])
    monkeypatch.setattr(lines, "_log", logger)
    return capture


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Yield a pipe's ends to read and to write; it holds one page."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    yield reader, writer
    for end in (reader, writer):
        with contextlib.suppress(OSError):
            os.close(end)


def record(number: int, *, error: str | None = None) -> Record:
    return Record(request_id=f"req_{number}", time=1.5, error=error)


def read_all(reader: int) -> list[Record]:
    data = b""
    while chunk := os.read(reader, 65536):
        data += chunk
    assert data.endswith(b"\n") or not data
    return [msgspec.json.decode(line, type=Record) for line in data.splitlines()]


async def until_taken(recorder: LineRecorder) -> None:
    """Wait until the thread has all lines, and is at work on them."""
    with trio.fail_after(30):
        while recorder.waiting or not (recorder._batch and recorder._batch.begun):  # noqa: ASYNC110
            await trio.sleep(0.001)


async def run_briefly(recorder: LineRecorder, seconds: float = BATCH_SECONDS / 2) -> None:
    with trio.move_on_after(seconds):
        await recorder.run()


async def test_a_record_is_a_line(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    full = Record(
        request_id="req_1",
        time=1.5,
        token="t",
        status=200,
        end_reason=EndReason.COMPLETE,
        error="two\nlines \u2028 of it",
        cost_nano_usd=12,
        attempts=[AttemptRecord(provider="a", model="x", cause="server_error")],
    )
    recorder = LineRecorder(writer)
    recorder.record(full)
    recorder.record(record(2))
    await run_briefly(recorder)
    os.close(writer)
    assert read_all(reader) == [full, record(2)]
    assert recorder.dropped == 0


async def test_lines_are_written_while_it_runs(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    recorder = LineRecorder(writer)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recorder.run)
        for number in range(3):
            recorder.record(record(number))
            with trio.fail_after(30):
                await trio.lowlevel.wait_readable(reader)
            line = os.read(reader, 4096)
            assert msgspec.json.decode(line)["request_id"] == f"req_{number}"
        nursery.cancel_scope.cancel("seen enough")


async def test_the_oldest_go_when_there_is_no_room(pipe: tuple[int, int], log: LogCapture) -> None:
    reader, writer = pipe
    recorder = LineRecorder(writer, queue_lines=3)
    for number in range(5):
        recorder.record(record(number))
    assert recorder.dropped == 2
    assert repr(recorder) == "<LineRecorder 3 waiting, 2 dropped>"
    await run_briefly(recorder)
    os.close(writer)
    assert [each.request_id for each in read_all(reader)] == ["req_2", "req_3", "req_4"]
    assert [(each["event"], each["total"]) for each in log.entries] == [
        ("request records dropped", 2)
    ]


@pytest.mark.measured
async def test_a_reader_that_is_stuck_blocks_no_request(
    pipe: tuple[int, int], log: LogCapture
) -> None:
    reader, writer = pipe
    recorder = LineRecorder(writer, queue_lines=100)
    running = trio.CancelScope()
    found: list[Record] = []

    async def run() -> None:
        with running:
            await recorder.run()
        os.close(writer)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        recorder.record(record(0, error="x" * 20_000))
        await until_taken(recorder)
        started = trio.current_time()
        for number in range(1, 1001):
            recorder.record(record(number))
        assert trio.current_time() - started < 0.5
        assert recorder.dropped == 900
        # It comes back to life: all that was kept is there, each on its own line.
        running.cancel("the end, at which all is written")
        with trio.fail_after(30):
            found += await trio.to_thread.run_sync(read_all, reader, abandon_on_cancel=True)
    assert [each.request_id for each in found] == [
        "req_0",
        *(f"req_{number}" for number in range(901, 1001)),
    ]


async def test_a_reader_that_is_stuck_does_not_hold_up_the_exit(
    autojump_clock: MockClock, pipe: tuple[int, int]
) -> None:
    reader, writer = pipe
    recorder = LineRecorder(writer)
    recorder.record(record(0, error="x" * 20_000))
    with trio.move_on_after(1):
        await recorder.run()
    # Virtual time does not wait for threads.
    assert trio.current_time() == 1 + FLUSH_SECONDS
    # The thread is let go, so that it does not outlive the test.
    left = len(msgspec.json.encode(record(0, error="x" * 20_000))) + 1
    while left:
        left -= len(os.read(reader, 65536))


async def test_what_waits_is_written_at_the_exit(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    recorder = LineRecorder(writer)
    with trio.CancelScope() as scope:
        scope.cancel("at once")
        recorder.record(record(1))
        await recorder.run()
    os.close(writer)
    assert [each.request_id for each in read_all(reader)] == ["req_1"]


async def test_the_exit_waits_for_a_write_under_way(pipe: tuple[int, int]) -> None:
    """Lines of the last write must not end up in the middle of those of the one before."""
    reader, writer = pipe
    recorder = LineRecorder(writer)
    recorder.record(record(1, error="x" * 50_000))
    running = trio.CancelScope()
    found: list[Record] = []
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            with running:
                await recorder.run()
            os.close(writer)

        nursery.start_soon(run)
        await until_taken(recorder)
        recorder.record(record(2, error="y" * 50_000))
        running.cancel("the exit")
        await trio.testing.wait_all_tasks_blocked()
        found += await trio.to_thread.run_sync(read_all, reader)
    assert [each.request_id for each in found] == ["req_1", "req_2"]


async def test_the_exit_waits_for_the_only_write_too(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    recorder = LineRecorder(writer)
    recorder.record(record(1, error="x" * 50_000))
    running = trio.CancelScope()
    found: list[Record] = []
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            with running:
                await recorder.run()
            os.close(writer)

        nursery.start_soon(run)
        await until_taken(recorder)
        running.cancel("the exit")
        await trio.testing.wait_all_tasks_blocked()
        found += await trio.to_thread.run_sync(read_all, reader)
    assert [each.request_id for each in found] == ["req_1"]


async def test_a_broken_pipe_is_counted_and_logged(pipe: tuple[int, int], log: LogCapture) -> None:
    reader, writer = pipe
    os.close(reader)
    recorder = LineRecorder(writer)
    recorder.record(record(1))
    recorder.record(record(2))
    await run_briefly(recorder)
    assert recorder.dropped == 2
    assert [each["event"] for each in log.entries] == [
        "request records lost",
        "request records dropped",
    ]
    assert log.entries[0]["records"] == 2
    assert "Broken pipe" in log.entries[0]["error"]


async def test_a_pipe_is_written_in_pieces_that_can_not_be_torn(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several workers write into one pipe."""
    writer = pipe[1]
    written: list[bytes] = []

    def write(descriptor: int, data: memoryview) -> int:
        assert descriptor == writer
        written.append(bytes(data))
        return len(data)

    recorder = LineRecorder(writer)
    for number in range(50):
        recorder.record(record(number))
    recorder.record(record(50, error="x" * 5000))
    recorder.record(record(51))
    monkeypatch.setattr(os, "write", write)
    await run_briefly(recorder)
    monkeypatch.undo()
    *short, long, last = written
    assert len(short) > 1
    assert all(len(piece) <= select.PIPE_BUF for piece in short)
    assert all(piece.endswith(b"\n") for piece in written)
    assert (long.count(b"\n"), last.count(b"\n")) == (1, 1)
    lines = b"".join(written).splitlines()
    assert [msgspec.json.decode(line)["request_id"] for line in lines] == [
        f"req_{number}" for number in range(52)
    ]


async def test_a_full_disk_is_complained_about_once_a_minute(
    autojump_clock: MockClock, pipe: tuple[int, int], log: LogCapture
) -> None:
    recorder = LineRecorder(pipe[1])
    full = Written(0, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    for _ in range(1500):  # 150 s
        recorder._settle([b"{}"], full)
        await trio.sleep(BATCH_SECONDS)
    recorder._settle([b"{}"], Written(1, None))
    assert recorder.dropped == 1500
    said = [(each["event"], each.get("records", each.get("total"))) for each in log.entries]
    assert said[:2] == [("request records lost", 1), ("request records dropped", 1)]
    assert [event for event, _ in said].count("request records lost") == 3
    assert log.entries[-1]["event"] == "request records are written again"
    assert log.entries[-1]["dropped"] == 1500
    # The next episode is news.
    recorder._settle([b"{}"], full)
    assert log.entries[-2]["event"] == "request records lost"


@pytest.mark.parametrize(
    "char", ["\x7f", "\x80", "\x9b", "\u202e", "\u2066", "\u200f", "\u061c", "\u2028", "\ufeff"]
)
def test_a_line_changes_nothing_on_a_terminal(char: str) -> None:
    line = json.dumps({"model": f"a{char}b \u00fc\u4e2d"}, ensure_ascii=False).encode()
    clean = shown(line)
    assert char.encode() not in clean
    assert json.loads(clean) == json.loads(line)
    assert "\u00fc\u4e2d".encode() in clean
