from __future__ import annotations

import errno
import os
import stat
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.telemetry.metrics.cells import SEGMENT, CellStorage, Key, MemoryCells, SharedCells


@pytest.fixture(params=["memory", "shared"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CellStorage]:
    if request.param == "memory":
        yield MemoryCells()
        return
    shared = SharedCells(tmp_path)
    yield shared
    shared.close()


def read(storage: CellStorage) -> list[tuple[bool, dict[Key, list[float]]]]:
    return [(page.live, dict(page.series)) for page in storage.pages()]


# What both can do...


def test_a_series_is_made_once(storage: CellStorage) -> None:
    first = storage.open(("a", "x"), 3)
    first[1] += 2.5
    assert storage.open(("a", "x"), 3)[1] == 2.5
    assert storage.known() == [("a", "x")]
    assert read(storage) == [(True, {("a", "x"): [0, 2.5, 0]})]


def test_label_values_may_be_anything(storage: CellStorage) -> None:
    keys = [("a", 'q"\n\\', "🦊"), ("a", "", "x" * 200), ("a", "é" * 199, "")]
    for number, key in enumerate(keys):
        storage.open(key, 1)[0] = number
    assert read(storage) == [(True, {key: [number] for number, key in enumerate(keys)})]


def test_many_series_of_many_sizes(storage: CellStorage) -> None:
    expected = {}
    for number in range(5000):
        key = ("family", str(number) * (number % 7))
        series = storage.open((*key, str(number)), number % 25 + 1)
        series[len(series) - 1] = number
        expected[(*key, str(number))] = [0.0] * (len(series) - 1) + [number]
    assert read(storage) == [(True, expected)]


def test_reading_in_a_thread_while_series_are_made(storage: CellStorage) -> None:
    found: list[int] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            for _, series in read(storage):
                # Made in this order, so what is there is a beginning of all.
                assert list(series) == [("a", str(n)) for n in range(len(series))]
                assert all(value in ([0.0], [1.0]) for value in series.values())
                found.append(len(series))

    thread = threading.Thread(target=watch)
    thread.start()
    for number in range(20_000):
        storage.open(("a", str(number)), 1)[0] += 1
    stop.set()
    thread.join()
    assert found == sorted(found)
    assert read(storage)[0][1].keys() == {("a", str(number)) for number in range(20_000)}


# What only files can...


def test_every_process_sees_what_any_counts(tmp_path: Path) -> None:
    one, two = SharedCells(tmp_path), SharedCells(tmp_path)
    one.open(("a",), 1)[0] += 1
    two.open(("a",), 1)[0] += 10
    assert sorted(series["a",][0] for _, series in read(one)) == [1, 10]
    assert read(one) == read(two)
    assert all(live for live, _ in read(one))
    one.close()
    assert sorted((live, series["a",][0]) for live, series in read(two)) == [(False, 1), (True, 10)]
    two.close()


def test_a_new_one_goes_on_in_the_file_of_a_dead_one(tmp_path: Path) -> None:
    for _ in range(20):
        shared = SharedCells(tmp_path)
        shared.open(("a",), 1)[0] += 1
        shared.open(("b", "x" * 200), 19)[18] += 1
        shared.close()
    assert len(list(tmp_path.iterdir())) == 1
    last = SharedCells(tmp_path)
    assert last.known() == [("a",), ("b", "x" * 200)]
    assert read(last)[0][1]["a",] == [20]
    last.close()


def test_files_are_private(tmp_path: Path) -> None:
    shared = SharedCells(tmp_path)
    (path,) = tmp_path.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    shared.close()


def test_a_file_grows_by_what_the_disk_has_promised(tmp_path: Path) -> None:
    shared = SharedCells(tmp_path)
    (path,) = tmp_path.iterdir()
    for number in range(3000):
        shared.open(("a", str(number)), 3)
        assert path.stat().st_size % SEGMENT == 0
        assert path.stat().st_blocks * 512 >= path.stat().st_size
    assert path.stat().st_size > SEGMENT
    shared.close()


def test_a_full_disk_raises_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = SharedCells(tmp_path)
    shared.open(("before",), 1)[0] = 1

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "posix_fallocate", full)
    for number in range(5000):
        shared.open(("a", str(number)), 19)[18] += 1
    assert 0 < shared.lost < 5000
    assert shared.open(("a", "4999"), 19)[18] == 1
    assert len(read(shared)[0][1]) == 5001 - shared.lost
    assert "lost" in repr(shared)
    shared.close()


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SharedCells(tmp_path / "absent")


def test_what_a_kill_left_half_made_is_gone_on_with(tmp_path: Path) -> None:
    shared = SharedCells(tmp_path)
    (path,) = tmp_path.iterdir()
    shared.open(("a",), 1)[0] = 1
    shared.close()
    # A segment that has been promised and not begun.
    os.truncate(path, 2 * SEGMENT)
    shared = SharedCells(tmp_path)
    for number in range(3000):
        shared.open(("b", str(number)), 3)[0] = number
    shared.close()
    ((live, series),) = read(shared)
    assert not live
    assert series["a",] == [1]
    assert all(series["b", str(number)][0] == number for number in range(3000))


def test_an_empty_file_is_taken(tmp_path: Path) -> None:
    (tmp_path / "7-x.cells").touch()
    shared = SharedCells(tmp_path)
    shared.open(("a",), 1)[0] = 1
    assert read(shared) == [(True, {("a",): [1]})]
    shared.close()


@pytest.mark.parametrize("damage", [b"GWCELLS9", b"\xff" * 8])
def test_files_of_others_are_left_alone(tmp_path: Path, damage: bytes) -> None:
    foreign = tmp_path / "7-x.cells"
    content = damage + struct.pack("=Q", SEGMENT) + b"\xff" * (SEGMENT - 16)
    foreign.write_bytes(content)
    shared = SharedCells(tmp_path)
    shared.open(("a",), 1)[0] = 1
    assert [series for _, series in read(shared) if series] == [{("a",): [1]}]
    assert foreign.read_bytes() == content
    shared.close()


@pytest.mark.parametrize(
    "damage",
    [
        b"\x91\xa1\xff",  # no UTF-8
        b"\x91\xc1b",  # no MessagePack
        b"\x91\x01b",  # no string
        b"\xff\xff\xff",
    ],
)
def test_what_is_damaged_is_read_up_to_there(tmp_path: Path, damage: bytes) -> None:
    shared = SharedCells(tmp_path)
    shared.open(("a",), 1)[0] = 1
    shared.open(("b",), 1)[0] = 2
    shared.close()
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    at = data.index(b"\x91\xa1b")
    data[at : at + 3] = damage
    path.write_bytes(data)
    assert read(shared) == [(False, {("a",): [1]})]
    # Nor is anything believed of a length that leads out of the file.
    data[at - 8 :] = b"\xff" * len(data[at - 8 :])
    path.write_bytes(data)
    assert read(shared) == [(False, {("a",): [1]})]
