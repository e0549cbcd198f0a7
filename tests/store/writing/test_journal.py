from __future__ import annotations

import errno
import fcntl
import os
import random
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.store.writing.journal import (
    Journal,
    JournalFrame,
    left_behind,
    make_folder,
    total_bytes,
)

from ..small_disk import SmallDisk

PLENTY = 2**40


def payload(number: int) -> bytes:
    return random.Random(number).randbytes(10 + number * 7)


def filled(folder: Path, count: int, writer: str = "w1") -> Journal:
    journal = Journal.create(folder, writer)
    for number in range(1, count + 1):
        journal.append(number, payload(number), PLENTY)
    return journal


def frames(count: int) -> list[JournalFrame]:
    return [JournalFrame(number, payload(number)) for number in range(1, count + 1)]


def rest(journal: Journal) -> list[JournalFrame]:
    found: list[JournalFrame] = []
    while some := journal.read(100):
        found += some
        journal.confirm()
    return found


def test_what_was_appended_is_read_in_order(tmp_path: Path) -> None:
    journal = filled(tmp_path, 20)
    assert rest(journal) == frames(20)
    assert journal.is_done
    journal.append(21, b"more", PLENTY)
    assert rest(journal) == [JournalFrame(21, b"more")]
    journal.remove()
    assert [*tmp_path.iterdir()] == []


def test_it_is_read_again_until_it_is_done(tmp_path: Path) -> None:
    journal = filled(tmp_path, 3)
    assert journal.read(1) == journal.read(1) == frames(1)
    journal.confirm()
    assert journal.read(PLENTY) == frames(3)[1:]
    assert journal.read(PLENTY, after=2) == frames(3)[2:]
    assert journal.read(PLENTY, after=3) == []
    assert journal.is_done
    journal.remove()


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    journal = filled(folder, 1)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert journal.path.stat().st_mode & 0o777 == 0o600
    journal.close()


def test_it_is_adopted_only_when_its_process_is_gone(tmp_path: Path) -> None:
    journal = filled(tmp_path, 2)
    assert [*left_behind(tmp_path)] == []
    journal.close()
    [found] = left_behind(tmp_path)
    assert found.writer == "w1"
    # Locked again: no other process gets it.
    assert [*left_behind(tmp_path)] == []
    assert rest(found) == frames(2)
    found.remove()
    assert Journal.adopt(journal.path) is None


def test_a_file_that_was_removed_while_we_waited_for_it_is_none(tmp_path: Path) -> None:
    journal = filled(tmp_path, 1)
    path, kept = journal.path, tmp_path / "kept"
    os.link(path, kept)
    journal.remove()
    # The same file under its name, and then without any: what an open before the removal sees.
    kept.rename(path)
    descriptor = os.open(path, os.O_RDWR)
    path.unlink()
    assert Journal.adopt(Path(f"/proc/self/fd/{descriptor}")) is None
    os.close(descriptor)


def test_a_torn_tail_costs_only_itself(tmp_path: Path) -> None:
    journal = filled(tmp_path, 5)
    whole = journal.path.read_bytes()
    journal.append(6, payload(6), PLENTY)
    path, full = journal.path, journal.path.read_bytes()
    journal.close()
    for end in range(len(whole), len(full)):
        path.write_bytes(full[:end])
        torn = Journal.adopt(path)
        assert torn is not None
        assert rest(torn) == frames(5)
        assert torn.is_done
        assert torn.damaged == end - len(whole)
        torn.close()


def test_damage_in_the_middle_costs_one_batch(tmp_path: Path) -> None:
    journal = filled(tmp_path, 5)
    path, whole = journal.path, journal.path.read_bytes()
    journal.close()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        damaged = Journal.adopt(path)
        assert damaged is not None
        found = rest(damaged)
        assert len(found) == 4, at
        assert set(found) < set(frames(5))
        assert damaged.damaged > 0
        damaged.close()


def test_noise_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "w.journal"
    path.write_bytes(random.Random(1).randbytes(3_000_000) + b"\xffJ1\n")
    found = Journal.adopt(path)
    assert found is not None
    assert found.read(PLENTY) == []
    assert found.is_done
    assert found.damaged == 3_000_004
    found.close()


def test_all_journals_of_a_folder_share_the_bound(tmp_path: Path) -> None:
    one, other = Journal.create(tmp_path, "one"), Journal.create(tmp_path, "other")
    one.append(1, bytes(900), 1000)
    with pytest.raises(OSError, match="journal_max_bytes"):
        other.append(1, bytes(200), 1000)
    assert total_bytes(tmp_path) == one.size
    assert other.is_done
    one.close()
    other.close()


def test_a_folder_must_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        make_folder(tmp_path / "file")


def test_a_full_disk_leaves_no_half_of_a_batch(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "small", "64k") as disk:
        journal = filled(disk.folder, 3)
        size = journal.size
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            journal.append(4, bytes(100_000), PLENTY)
        assert journal.path.stat().st_size == size == journal.size
        journal.append(5, b"small enough", PLENTY)
        assert rest(journal) == [*frames(3), JournalFrame(5, b"small enough")]
        journal.remove()


LIMITED = """
import resource, signal, sys
from pathlib import Path
from gateway.store.writing.journal import Journal
# Python 3.11 leaves half of a module's bytecode behind where a file may not grow (gh-126606).
sys.dont_write_bytecode = True
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
journal = Journal.create(Path(sys.argv[1]), "w")
journal.append(1, b"first", 2**40)
try:
    journal.append(2, bytes(20_000), 2**40)
except OSError as exc:
    print(exc.errno)
journal.append(3, b"third", 2**40)
print([tuple(frame) for frame in journal.read(2**20)])
"""


def test_a_file_that_may_not_grow_leaves_no_half_of_a_batch(tmp_path: Path) -> None:
    # For where nothing can be mounted: writes end short, and then fail, just as on a full disk.
    found = subprocess.run(  # noqa: S603  # ours
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines() == [str(errno.EFBIG), "[(1, b'first'), (3, b'third')]"]


def test_a_file_that_is_there_is_not_touched(tmp_path: Path) -> None:
    journal = filled(tmp_path, 3)
    journal.close()
    with pytest.raises(FileExistsError):
        Journal.create(tmp_path, "w1")
    [found] = left_behind(tmp_path)
    assert rest(found) == frames(3)
    found.remove()


@pytest.mark.parametrize("removed", [True, False])
def test_who_takes_a_new_file_for_an_old_one_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed: bool
) -> None:
    def flock(descriptor: int, how: int) -> None:
        monkeypatch.undo()
        found.extend(left_behind(tmp_path))
        if removed:
            found[0].remove()
        fcntl.flock(descriptor, how)

    found: list[Journal] = []
    monkeypatch.setattr("gateway.store.writing.journal.fcntl.flock", flock)
    journal = Journal.create(tmp_path, "w")
    assert len(found) == 1
    found[0].remove()
    assert journal.number == 2
    journal.append(1, b"one", PLENTY)
    assert rest(journal) == [JournalFrame(1, b"one")]
    journal.remove()
    assert [*tmp_path.iterdir()] == []


def test_where_nothing_can_be_locked_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(_descriptor: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr("gateway.store.writing.journal.fcntl.flock", flock)
    with pytest.raises(OSError, match="no locks"):
        Journal.create(tmp_path, "w")
    assert [*tmp_path.iterdir()] == []


def family(folder: Path, writer: str, numbers: Iterable[int]) -> list[Path]:
    """Make files of a writer that died, with one batch each."""
    paths = []
    for number in numbers:
        journal = Journal.create(folder, writer, number)
        journal.append(number, b"x", PLENTY)
        journal.close()
        paths.append(journal.path)
    return paths


def test_files_of_a_writer_come_in_their_order(tmp_path: Path) -> None:
    [*_, newest] = family(tmp_path, "a", [9, 10, 2, 100])
    [old] = family(tmp_path, "b", [1])
    os.utime(old, (1, 1))
    os.utime(newest, (0, 0))
    found = []
    for journal in left_behind(tmp_path):
        found.append((journal.writer, journal.number))
        journal.remove()
    assert found == [("a", 2), ("a", 9), ("a", 10), ("a", 100), ("b", 1)]


def test_one_that_is_not_removed_keeps_back_those_after_it(tmp_path: Path) -> None:
    def found() -> list[tuple[str, int]]:
        given = []
        for journal in left_behind(tmp_path):
            given.append((journal.writer, journal.number))
            journal.close()
        return sorted(given)

    first, _ = family(tmp_path, "a", [1, 2])
    family(tmp_path, "b", [1])
    assert found() == [("a", 1), ("b", 1)]
    # So does one that another process has locked, or that cannot be opened.
    locked = Journal.adopt(first)
    assert locked is not None
    assert found() == [("b", 1)]
    locked.remove()
    first.mkdir()
    with capture_logs() as lines:
        assert found() == [("b", 1)]
    assert [line["event"] for line in lines] == ["a journal cannot be opened"]
    first.rmdir()
    assert found() == [("a", 2), ("b", 1)]


def test_a_listing_that_missed_a_file_writes_nothing_out_of_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def adopt(path: Path) -> Journal | None:
        # What came while the folder was being listed, and then its writer died.
        monkeypatch.undo()
        family(tmp_path, "a", [4])
        return Journal.adopt(path)

    family(tmp_path, "a", [5])
    monkeypatch.setattr(Journal, "adopt", adopt)
    assert [*left_behind(tmp_path)] == []
    [first] = left_behind(tmp_path)
    assert first.number == 4
    first.close()
