from __future__ import annotations

import gzip
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.captures import files as captures
from gateway.captures.files import (
    file_stem,
    list_captures,
    prune_captures,
    read_file,
    write_capture,
)
from gateway.captures.search import find_captures, read_captures
from gateway.core.capture.capture import Capture, CapturedRequest, CapturePolicy, MemoryBudget
from gateway.core.records.record import Record

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
DAY = 86_400.0


def capture(request_id: str = "req_1", time: float = NOON, body: bytes = b"{}") -> Capture:
    request = CapturedRequest(
        request_id=request_id,
        time=time,
        token="t",
        model="m",
        method="POST",
        target="/v1/chat/completions",
        headers=((b"authorization", b"Bearer canary-secret"),),
        body=body,
        arrived=0.0,
        secrets=(b"canary-secret",),
    )
    made = Capture(request, CapturePolicy(), MemoryBudget(1 << 30))
    made.head(200, (), 0.1, stream=False)
    made.add(b'{"a":"canary-secret"}', 0.2)
    made.record = Record(request_id=request_id, time=time, status=200)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "there" / "debug"


def write(folder: Path, request_id: str, age: float = 0.0, body: bytes = b"{}") -> Path:
    """Write a capture that is `age` seconds old at noon."""
    path = write_capture(folder, capture(request_id, NOON - age, body))
    os.utime(path, (NOON - age, NOON - age))
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_what_is_written_can_be_read_and_is_private(folder: Path) -> None:
    old = os.umask(0)
    try:
        path = write_capture(folder, capture())
    finally:
        os.umask(old)
    assert path == folder / "2026-11-23" / "req_1.jsonl.gz"
    assert (mode(path), mode(path.parent), mode(folder)) == (0o600, 0o700, 0o700)
    assert tree(folder) == ["2026-11-23", "2026-11-23/req_1.jsonl.gz"]
    text = gzip.decompress(path.read_bytes())
    assert b"canary" not in text
    assert text.count(b"[redacted]") == 2
    (found,) = read_captures(folder, "req_1").rows
    assert (found.request.id, found.request.body.text) == ("req_1", "{}")
    assert found.end is not None
    (file,) = list_captures(folder)
    assert (file.day, file.name, file.size) == (
        "2026-11-23",
        "req_1.jsonl.gz",
        path.stat().st_size,
    )


def test_of_one_id_all_are_kept(folder: Path) -> None:
    paths = [write(folder, "same", age=60 * age, body=b"%d" % age) for age in (2, 0, 1)]
    write(folder, "same.2")
    write(folder, "same", age=DAY, body=b"3")
    assert len({*paths}) == 3
    assert paths[0].name == "same.jsonl.gz"
    assert [each.request.body.text for each in read_captures(folder, "same").rows] == list("0123")
    assert len(list(find_captures(folder, "same"))) == 4
    assert len(read_captures(folder, "same.2").rows) == 1


@pytest.mark.parametrize(
    "request_id",
    [
        *("req_0f3c", "a", "A.b-c_d", "x" * 128, "x..y"),
        *("", ".", "..", ".hidden", "a/b", "../../etc/passwd", "/etc/passwd", "a\\b", "a\0b"),
        *("%2e%2e%2fetc%2fpasswd", "a:b", "a@b+c=d", "x" * 129, "x" * 5000, "имя", "a\nb", "a b"),
        *("sha256-" + "0" * 64, "\ud800", "a~12345678", "-rf"),
    ],
)
def test_any_id_has_a_harmless_name_and_is_found_again(folder: Path, request_id: str) -> None:
    stem = file_stem(request_id)
    assert stem not in (".", "..")
    assert not {*stem} - {*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"}
    assert len(stem) <= 128
    write_capture(folder, capture("another"))
    assert read_captures(folder, request_id).rows == []
    if request_id == "\ud800":
        return
    path = write_capture(folder, capture(request_id))
    assert path.parent == folder / "2026-11-23"
    assert len(tree(folder)) == 3
    (found,) = read_captures(folder, request_id).rows
    assert found.request.id == request_id


def test_names_that_look_like_hashes_collide_with_none(folder: Path) -> None:
    hashed = file_stem("../../etc/passwd")
    write_capture(folder, capture("../../etc/passwd"))
    assert read_captures(folder, hashed).rows == []
    write_capture(folder, capture(hashed))
    assert len(read_captures(folder, hashed).rows) == 1


def test_nothing_outside_is_read(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    path = write(outside, "secret")
    write(folder, "mine")
    # Another user plants links in the folder, to files and to folders...
    day = folder / "2026-11-23"
    (day / "secret.jsonl.gz").symlink_to(path)
    (day / "secret~00000000.jsonl.gz").symlink_to(path)
    (folder / "2026-11-22").symlink_to(path.parent)
    (folder / "etc").mkdir()
    os.link(path, folder / "etc" / "secret.jsonl.gz")
    # ... and what blocks who opens it.
    os.mkfifo(day / "pipe.jsonl.gz")
    (day / "folder.jsonl.gz").mkdir()
    for request_id in (
        *("secret", "../outside/2026-11-23/secret", str(path), "2026-11-22/secret", "pipe"),
        *("../etc/secret", "secret\0", "%2e%2e/secret", "folder", "secret~00000000"),
    ):
        assert read_captures(folder, request_id).rows == []
    assert [file.name for file in list_captures(folder)] == ["mine.jsonl.gz"]
    for day_name, name in [
        ("2026-11-22", "secret.jsonl.gz"),
        ("2026-11-23", "secret.jsonl.gz"),
        ("2026-11-23", "pipe.jsonl.gz"),
        ("2026-11-23", "folder.jsonl.gz"),
        ("..", "secret.jsonl.gz"),
        ("etc", "secret.jsonl.gz"),
        ("2026-11-23", "../../outside/2026-11-23/secret.jsonl.gz"),
        ("2026-11-21", "gone.jsonl.gz"),
    ]:
        assert read_file(folder, captures.CaptureFile(day_name, name, 0, 0.0)) is None


def test_a_link_in_the_place_of_a_day_is_not_written_through(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder.mkdir(parents=True)
    (folder / "2026-11-23").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"2026-11-23"):
        write_capture(folder, capture())
    assert tree(tmp_path / "elsewhere") == []


def test_damaged_files_are_read_as_far_as_possible(folder: Path) -> None:
    path = write(folder, "req_1", body=b'"' + os.urandom(4000).hex().encode() + b'"')
    data = path.read_bytes()
    lines = gzip.decompress(data).splitlines(keepends=True)
    for text, ids in [
        (b"", []),
        (data[:10], []),
        (data[: len(data) // 2], []),
        (b"no gzip", []),
        (data[:20] + b"\xff" * 20 + data[40:], []),
        (gzip.compress(b"\n"), []),
        (gzip.compress(lines[0]), ["req_1"]),
        (gzip.compress(lines[0] + b"damage\n" + lines[1]), ["req_1"]),
        (data[:-8], ["req_1"]),
        (data[:-8] + b"\0" * 8, ["req_1"]),
        (data + b"more", ["req_1"]),
    ]:
        path.write_bytes(text)
        assert [each.request.id for each in read_captures(folder, "req_1").rows] == ids


def test_a_file_that_inflates_is_not_read_to_its_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(folder, "req_1")
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"x" * 10_000_000))
    monkeypatch.setattr(captures, "MAX_READ", 100_000)
    (file,) = list_captures(folder)
    assert sum(map(len, captures.read_lines(folder, file))) == 100_000


def test_no_folder_is_no_error(folder: Path) -> None:
    assert list(list_captures(folder)) == []
    assert read_captures(folder, "req_1").rows == []
    assert prune_captures(folder, 1, 1, NOON) == captures.PrunedCaptures()


def test_a_failed_write_leaves_nothing_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Capture) -> Iterator[bytes]:
        yield b"x" * 100_000
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(captures, "encode", broken)
    with pytest.raises(OSError, match="No space"):
        write_capture(folder, capture())
    monkeypatch.undo()

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(OSError, match="No space"):
        write_capture(folder, capture())
    assert tree(folder) == ["2026-11-23"]


# Pruning...


def test_the_old_go_first_by_age(folder: Path) -> None:
    for age in range(10):
        write(folder, f"r{age}", age=age * DAY)
    pruned = prune_captures(folder, 4.5, 0, NOON)
    left = sorted(file.name for file in list_captures(folder))
    assert left == [f"r{age}.jsonl.gz" for age in range(5)]
    assert (pruned.files, pruned.left_files) == (5, 5)
    assert pruned.left_bytes == sum(file.size for file in list_captures(folder))
    # And their folders with them.
    assert len(os.listdir(folder)) == 5


def test_then_the_oldest_until_the_rest_is_small_enough(folder: Path) -> None:
    sizes = [write(folder, f"r{age}", age=age * 60).stat().st_size for age in range(6)]
    pruned = prune_captures(folder, 0, sum(sizes[:3]), NOON)
    assert sorted(file.name for file in list_captures(folder)) == [
        f"r{age}.jsonl.gz" for age in range(3)
    ]
    assert pruned == captures.PrunedCaptures(3, sum(sizes[3:]), 3, sum(sizes[:3]))
    pruned = prune_captures(folder, 0, sum(sizes[:3]) - 1, NOON)
    assert (pruned.files, pruned.left_files) == (1, 2)
    # 0 is no bound.
    assert prune_captures(folder, 0, 0, NOON).files == 0


def test_nothing_that_is_not_ours_is_touched(folder: Path, tmp_path: Path) -> None:
    write(folder, "r", age=30 * DAY)
    outside = write(tmp_path / "outside", "r", age=30 * DAY)
    others = [
        folder / "readme.txt",
        folder / "2026-10-24" / "notes.txt",
        folder / "2026-10-24" / ".hidden.jsonl.gz",
        folder / "backup" / "r.jsonl.gz",
        folder / "2026-10-24x" / "r.jsonl.gz",
    ]
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
        os.utime(path, (0, 0))
    (folder / "2026-10-24" / "link.jsonl.gz").symlink_to(outside)
    (folder / "2026-10-23").symlink_to(outside.parent)
    pruned = prune_captures(folder, 1, 1, NOON)
    assert (pruned.files, pruned.left_files) == (1, 0)
    assert [path.read_text() for path in others] == ["mine"] * len(others)
    assert outside.exists()
    assert (folder / "2026-10-24" / "link.jsonl.gz").is_symlink()
    assert (folder / "2026-10-23").is_symlink()


def test_what_a_killed_process_left_is_removed_in_time(folder: Path) -> None:
    day = write(folder, "r").parent
    for name, age in [(f".{'0' * 16}.tmp", 7200), (f".{'1' * 16}.tmp", 60), (".x.tmp", 7200)]:
        (day / name).write_text("")
        os.utime(day / name, (NOON - age, NOON - age))
    prune_captures(folder, 1, 0, NOON)
    assert sorted(os.listdir(day)) == [".1111111111111111.tmp", ".x.tmp", "r.jsonl.gz"]


def test_files_may_vanish_meanwhile(folder: Path) -> None:
    paths = [write(folder, f"r{age}", age=(age + 3) * DAY) for age in range(4)]
    pruned = captures.PrunedCaptures()
    steps = captures.prune_steps(folder, 1, 0, NOON, pruned)
    assert next(steps).name == "r3.jsonl.gz"
    for path in paths[1:3]:
        path.unlink()
    paths[2].parent.rmdir()
    assert [file.name for file in steps] == ["r0.jsonl.gz"]
    assert (pruned.files, pruned.left_files, pruned.left_bytes) == (2, 0, 0)
    assert os.listdir(folder) == []
