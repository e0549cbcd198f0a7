from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import trio
from structlog.testing import LogCapture
from trio.testing import MockClock

from gateway.captures import disk_quota
from gateway.captures import writer as capture_writer
from gateway.captures.files import CaptureFile, list_captures, write_capture
from gateway.captures.search import read_captures
from gateway.captures.writer import CaptureWriter
from gateway.core.capture.capture import Capture, CapturedRequest, CapturePolicy, MemoryBudget
from gateway.core.records.record import Record

ROOT = Path(__file__).parents[2]
CANARY = b"sk-canary-0123456789"


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> LogCapture:
    found = LogCapture()
    logger = structlog.wrap_logger(None, processors=[structlog.stdlib.add_log_level, found])
    monkeypatch.setattr(capture_writer, "_log", logger)
    return found


@pytest.fixture
def room() -> Iterator[MemoryBudget]:
    made = MemoryBudget(1 << 30)
    yield made
    assert made.taken == 0


def capture(room: MemoryBudget, number: int = 0) -> Capture:
    request = CapturedRequest(
        request_id=f"req_{number}",
        time=1_700_000_000.0 + number,
        token="t",
        model="m",
        method="POST",
        target="/v1/chat/completions?key=" + CANARY.decode(),
        headers=((b"authorization", b"Bearer " + CANARY), (b"x-custom-token", CANARY)),
        body=b'{"user":"' + CANARY + b'"}',
        arrived=0.0,
        secrets=(CANARY,),
    )
    made = Capture(request, CapturePolicy(), room)
    made.head(401, ((b"set-cookie", CANARY),), 0.1, stream=False)
    made.add(b'{"error":"incorrect key ' + CANARY + b'"}', 0.2)
    made.record = Record(request_id=f"req_{number}", time=1.0, error=CANARY.decode())
    return made


async def until_written(writer: CaptureWriter, count: int) -> None:
    with trio.fail_after(10):
        while writer.written + writer.dropped < count:  # noqa: ASYNC110  # it has no event
            await trio.sleep(0.005)


def unpacked(folder: Path) -> list[bytes]:
    """Return what the files below `folder` hold."""
    return [gzip.decompress(path.read_bytes()) for path in folder.rglob("*") if path.is_file()]


async def test_captures_are_written_and_their_room_is_given_back(
    tmp_path: Path, room: MemoryBudget, log: LogCapture
) -> None:
    writer = CaptureWriter(tmp_path / "debug")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        for number in range(100):
            writer.put(capture(room, number))
        assert writer.waiting == 100
        await until_written(writer, 100)
        assert room.taken == 0
        writer.put(capture(room, 100))
        await until_written(writer, 101)
        nursery.cancel_scope.cancel("done")
    assert (writer.written, writer.dropped, writer.last_error) == (101, 0, None)
    assert len(list(list_captures(tmp_path / "debug"))) == 101
    assert log.entries == []
    for number in (0, 50, 100):
        (found,) = read_captures(tmp_path / "debug", f"req_{number}").rows
        assert found.end is not None
    texts = unpacked(tmp_path)
    assert len(texts) == 101
    assert [text for text in texts if b"canary" in text] == []


async def test_what_is_left_is_written_at_the_end(tmp_path: Path, room: MemoryBudget) -> None:
    writer = CaptureWriter(tmp_path)
    with trio.CancelScope() as scope:
        for number in range(200):
            writer.put(capture(room, number))
        scope.cancel("stop")
        await writer.run()
    assert writer.written == 200
    assert len(list(list_captures(tmp_path))) == 200


async def test_the_oldest_goes_if_too_many_wait(tmp_path: Path, room: MemoryBudget) -> None:
    writer = CaptureWriter(tmp_path, max_waiting=3)
    for number in range(5):
        writer.put(capture(room, number))
    assert (writer.waiting, writer.dropped) == (3, 2)
    with trio.CancelScope() as scope:
        scope.cancel("stop")
        await writer.run()
    assert sorted(file.name for file in list_captures(tmp_path)) == [
        f"req_{number}.jsonl.gz" for number in (2, 3, 4)
    ]
    assert "3 written, 2 dropped" in repr(writer)


async def test_a_full_disk_is_counted_and_said_once(
    tmp_path: Path, room: MemoryBudget, log: LogCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = True

    def fails(folder: Path, each: Capture) -> Path:
        if full:
            raise OSError(28, "No space left on device", str(folder))
        return write_capture(folder, each)

    monkeypatch.setattr(capture_writer, "write_capture", fails)
    writer = CaptureWriter(tmp_path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        for number in range(1000):
            writer.put(capture(room, number))
            if number % 100 == 0:
                await trio.lowlevel.checkpoint()
        await until_written(writer, 1000)
        assert (writer.written, writer.dropped, room.taken) == (0, 1000, 0)
        assert "No space left" in str(writer.last_error)
        full = False
        writer.put(capture(room, 1))
        await until_written(writer, 1001)
        assert writer.last_error is None
        full = True
        writer.put(capture(room, 2))
        await until_written(writer, 1002)
        nursery.cancel_scope.cancel("done")
    assert [(entry["log_level"], entry["event"]) for entry in log.entries] == [
        ("error", "captures lost"),
        ("info", "captures are written again"),
        ("error", "captures lost"),
    ]
    assert log.entries[1]["dropped"] == 1000


async def run_till_written(writer: CaptureWriter) -> None:
    with trio.CancelScope() as scope:
        scope.cancel("stop")
        await writer.run()


def sizes(folder: Path) -> dict[str, int]:
    return {file.name.split(".")[0]: file.size for file in list_captures(folder)}


async def test_the_folder_stays_within_its_limit(
    tmp_path: Path, room: MemoryBudget, log: LogCapture
) -> None:
    one = write_capture(tmp_path / "one", capture(MemoryBudget(1 << 30))).stat().st_size
    folder = tmp_path / "debug"
    limit = 20 * one
    writer = CaptureWriter(folder, max_bytes=limit)
    for number in range(200):
        writer.put(put_in_order(folder, room, number))
        if number % 7 == 0:
            await run_till_written(writer)
            assert sum(sizes(folder).values()) <= limit
    await run_till_written(writer)
    left = sizes(folder)
    assert sum(left.values()) <= limit
    assert len(left) > 15
    # The oldest went.
    assert "req_199" in left
    assert "req_0" not in left
    assert (writer.written, writer.dropped, writer.last_error) == (200, 0, None)
    assert writer.pruned == 200 - len(left)
    assert log.entries == []


def put_in_order(folder: Path, room: MemoryBudget, number: int) -> Capture:
    """Return a capture, after making the files in the folder look older than it will be."""
    for path in folder.rglob("*.gz"):
        written = int(path.name.split(".")[0].removeprefix("req_"))
        os.utime(path, (1_700_000_000 + written, 1_700_000_000 + written))
    return capture(room, number)


async def test_what_was_there_before_counts_and_the_limit_may_change(
    tmp_path: Path, room: MemoryBudget
) -> None:
    for number in range(50):
        path = write_capture(tmp_path, capture(MemoryBudget(1 << 30), number))
        os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
    one = path.stat().st_size
    writer = CaptureWriter(tmp_path)
    writer.put(capture(room, 50))
    await run_till_written(writer)
    assert len(sizes(tmp_path)) == 51
    for limit in (20 * one, 10 * one):
        writer.max_bytes = limit
        writer.put(capture(room, 51))
        await run_till_written(writer)
        assert limit // 2 < sum(sizes(tmp_path).values()) <= limit
    assert "req_51" in sizes(tmp_path)
    writer.max_bytes = 0
    for number in range(60, 90):
        writer.put(capture(room, number))
    await run_till_written(writer)
    assert len(sizes(tmp_path)) > 30


async def test_what_others_write_into_the_folder_is_seen(
    tmp_path: Path, room: MemoryBudget
) -> None:
    one = write_capture(tmp_path / "one", capture(MemoryBudget(1 << 30))).stat().st_size
    folder, limit = tmp_path / "debug", 64 * one
    writers = [CaptureWriter(folder, max_bytes=limit) for _ in range(2)]
    for number in range(160):
        writers[number % 2].put(capture(room, number))
        await run_till_written(writers[number % 2])
        # By a part of the limit for each of the others.
        assert sum(sizes(folder).values()) <= limit + limit // 16 + one


async def test_a_folder_is_not_read_for_each_capture(
    tmp_path: Path, room: MemoryBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def looked(folder: Path) -> Iterator[CaptureFile]:
        nonlocal looks
        looks += 1
        return list_captures(folder)

    monkeypatch.setattr(disk_quota, "list_captures", looked)
    one = write_capture(tmp_path / "one", capture(MemoryBudget(1 << 30))).stat().st_size
    writer = CaptureWriter(tmp_path / "debug", max_bytes=160 * one)
    for number in range(320):
        writer.put(capture(room, number))
    await run_till_written(writer)
    assert looks < 60


async def test_where_nothing_can_be_pruned_nothing_more_is_written(
    tmp_path: Path, room: MemoryBudget, log: LogCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_capture(tmp_path, capture(MemoryBudget(1 << 30)))

    def fails(*_: object) -> None:
        raise OSError(30, "Read-only file system", str(tmp_path))

    monkeypatch.setattr(disk_quota, "prune_captures", fails)
    writer = CaptureWriter(tmp_path, max_bytes=path.stat().st_size)
    for number in range(40):
        writer.put(capture(room, number))
    await run_till_written(writer)
    assert (writer.written, writer.dropped, room.taken) == (0, 40, 0)
    assert "Read-only" in str(writer.last_error)
    assert len(sizes(tmp_path)) == 1
    assert [entry["event"] for entry in log.entries] == ["captures lost"]
    monkeypatch.undo()
    writer.put(capture(room, 41))
    await run_till_written(writer)
    assert (writer.written, writer.last_error) == (1, None)


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import trio
from gateway.core.capture.capture import MemoryBudget
from gateway.captures.writer import CaptureWriter
from tests.captures.test_writer import capture

# A limit on the size of files is as good as a full disk, and needs no rights.
# Python 3.11 leaves half of a module's bytecode behind where a file may not grow (gh-126606).
sys.dont_write_bytecode = True
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

async def main():
    room = MemoryBudget(1 << 30)
    writer = CaptureWriter(Path(sys.argv[1]))
    for number in range(1000):
        writer.put(capture(room, number))
    with trio.CancelScope() as scope:
        scope.cancel("stop")
        await writer.run()
    print(writer.written, writer.dropped, room.taken)

trio.run(main)
"""


@pytest.mark.slow
def test_a_really_full_disk(tmp_path: Path) -> None:
    found = subprocess.run(  # noqa: S603  # ours
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    *log, counts = found.stdout.splitlines()
    assert counts == "0 1000 0"
    assert unpacked(tmp_path) == []
    assert [line for line in log if "captures lost" not in line] == []
    assert len(log) == 1


async def test_a_missing_folder_is_made_and_an_impossible_one_counted(
    tmp_path: Path, room: MemoryBudget, log: LogCapture
) -> None:
    (tmp_path / "file").write_text("")
    writer = CaptureWriter(tmp_path / "file" / "debug")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        writer.put(capture(room))
        await until_written(writer, 1)
        assert writer.dropped == 1
        # A reload can put it elsewhere.
        writer.folder = tmp_path / "a" / "b"
        writer.put(capture(room))
        await until_written(writer, 2)
        assert writer.written == 1
        for path in sorted((tmp_path / "a").rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        writer.put(capture(room))
        await until_written(writer, 3)
        assert writer.written == 2
        nursery.cancel_scope.cancel("done")
    assert os.listdir(tmp_path / "a" / "b")


async def test_a_mistake_of_ours_ends_nothing(
    tmp_path: Path, room: MemoryBudget, log: LogCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(folder: Path, each: Capture) -> Path:
        if each.request.request_id == "req_1":
            raise KeyError("mistake")
        return write_capture(folder, each)

    monkeypatch.setattr(capture_writer, "write_capture", write)
    writer = CaptureWriter(tmp_path)
    for number in range(3):
        writer.put(capture(room, number))
    with trio.CancelScope() as scope:
        scope.cancel("stop")
        await writer.run()
    assert (writer.written, writer.dropped) == (2, 1)
    assert isinstance(log.entries[0]["exc_info"], KeyError)


async def test_a_disk_that_hangs_does_not_hold_up_the_exit(
    tmp_path: Path,
    room: MemoryBudget,
    log: LogCapture,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
) -> None:
    hangs, begun = threading.Event(), threading.Event()

    def write(folder: Path, each: Capture) -> Path:
        begun.set()
        hangs.wait(20)
        return write_capture(folder, each)

    monkeypatch.setattr(capture_writer, "write_capture", write)
    writer = CaptureWriter(tmp_path)
    try:
        started = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.run)
            writer.put(capture(room, 0))
            await trio.to_thread.run_sync(begun.wait, 20)
            writer.put(capture(room, 1))
            nursery.cancel_scope.cancel("stop")
        assert trio.current_time() == started + capture_writer.FLUSH_SECONDS
    finally:
        hangs.set()
    assert room.taken == 0
    assert writer.dropped == 2
    assert [(entry["event"], entry["lost"]) for entry in log.entries] == [("captures lost", 2)]
