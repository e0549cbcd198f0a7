from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.store.writing import backlog as module
from gateway.store.writing.backlog import Backlog, BacklogItem
from gateway.store.writing.batch import Batch, encode
from gateway.store.writing.journal import Journal, left_behind

from ..recording import record

PLENTY = 2**30


def batch(number: int, size: int = 3) -> Batch:
    return Batch(number, [record(number * 1000 + each) for each in range(size)], [])


def numbers(work: BacklogItem | None) -> list[int]:
    return [each.number for each in work.batches] if work else []


def drained(backlog: Backlog) -> list[int]:
    """Write all of its own batches, and return their numbers."""
    found: list[int] = []
    while work := backlog.next_own(max(found, default=0)):
        found += numbers(work)
        backlog.confirm(work)
    return found


def test_batches_are_given_out_in_order_and_the_file_goes_when_all_are_done(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path, "w", PLENTY)
    assert backlog.next_own(0) is None
    assert backlog.save([batch(1), batch(2), batch(3)]) == (3, None)
    assert backlog.bytes > 0
    work = backlog.next_own(1)
    assert work is not None
    assert (numbers(work), work.last) == ([2, 3], 3)
    # More came while those were written.
    assert backlog.save([batch(4)]) == (1, None)
    backlog.confirm(work)
    work = backlog.next_own(3)
    assert work is not None
    assert work.batches == [batch(4)]
    backlog.confirm(work)
    assert not backlog.pending
    assert [*tmp_path.iterdir()] == []


def test_what_was_written_already_leaves_no_file(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path, "w", PLENTY)
    backlog.save([batch(1), batch(2)])
    assert backlog.next_own(2) is None
    assert not backlog.pending
    assert [*tmp_path.iterdir()] == []


def test_a_large_backlog_is_given_out_in_parts(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path, "w", PLENTY)
    backlog.save([batch(number, 500) for number in range(1, 13)])
    assert len(numbers(backlog.next_own(0))) < 6
    assert drained(backlog) == [*range(1, 13)]
    assert backlog.bytes == 0


def test_a_bound_that_is_reached_says_how_many_were_saved(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path, "w", 4000)
    saved, error = backlog.save([batch(number) for number in range(1, 100)])
    assert 0 < saved < 99
    assert isinstance(error, OSError)
    assert drained(backlog) == [*range(1, saved + 1)]
    backlog.close()
    nothing = Backlog(tmp_path, "other", 4000)
    assert nothing.save([batch(1, 10)])[0] == 0
    assert not nothing.pending


def test_journals_of_the_dead_are_given_out_one_after_the_other(tmp_path: Path) -> None:
    for name in ("a", "b"):
        dead = Backlog(tmp_path, name, PLENTY)
        dead.save([batch(1), batch(2)])
        dead.close()
    living = Backlog(tmp_path, "living", PLENTY)
    living.save([batch(1)])
    backlog = Backlog(tmp_path, "w", PLENTY)
    found = []
    again = True
    while work := backlog.next_orphaned(again=again):
        again = False
        found.append((work.journal.writer, numbers(work)))
        backlog.confirm(work)
    assert sorted(found) == [("a", [1, 2]), ("b", [1, 2])]
    assert [path.stem for path in tmp_path.iterdir()] == ["living.1"]


def test_what_was_not_done_is_left_to_others(tmp_path: Path) -> None:
    dead = Backlog(tmp_path, "dead", PLENTY)
    dead.save([batch(1)])
    dead.close()
    backlog = Backlog(tmp_path, "w", PLENTY)
    assert numbers(backlog.next_orphaned(again=True)) == [1]
    assert Backlog(tmp_path, "other", PLENTY).next_orphaned(again=True) is None
    backlog.release()
    other = Backlog(tmp_path, "other", PLENTY)
    assert numbers(other.next_orphaned(again=True)) == [1]
    other.close()


def test_a_batch_that_cannot_be_read_is_kept_as_rejected(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, "dead")
    journal.append(1, b"\xc1 of another format", PLENTY)
    journal.close()
    work = Backlog(tmp_path, "w", PLENTY).next_orphaned(again=True)
    assert work is not None
    assert work.batches == [Batch(1, [], [])]
    assert work.rejected[0].item == {"batch": 1, "payload": b"\xc1 of another format".hex()}
    work.journal.close()


def test_damage_is_logged(tmp_path: Path) -> None:
    dead = Backlog(tmp_path, "dead", PLENTY)
    dead.save([batch(1)])
    dead.close()
    path = tmp_path / "dead.1.journal"
    path.write_bytes(path.read_bytes() + b"torn")
    backlog = Backlog(tmp_path, "w", PLENTY)
    with capture_logs() as lines:
        work = backlog.next_orphaned(again=True)
        assert work is not None
        backlog.confirm(work)
        assert backlog.next_orphaned(again=False) is None
    assert lines == [{"event": "a journal was damaged", "log_level": "warning",
                      "journal": "dead.1.journal", "bytes": 4}]  # fmt: skip
    assert [*left_behind(tmp_path)] == []


def test_a_journal_that_cannot_be_opened_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "folder.journal").mkdir()
    dead = Backlog(tmp_path, "dead", PLENTY)
    dead.save([batch(1)])
    dead.close()
    backlog = Backlog(tmp_path, "w", PLENTY)
    with capture_logs() as lines:
        assert numbers(backlog.next_orphaned(again=True)) == [1]
    assert [line["event"] for line in lines] == ["a journal cannot be opened"]
    backlog.close()


def test_what_is_in_the_database_makes_room_while_more_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most, written, number = 400_000, 0, 1
    monkeypatch.setattr(module, "_GROUP_BYTES", most // 50)
    backlog = Backlog(tmp_path, "w", most)
    records = batch(1, 10).records
    while backlog.save([Batch(number, records, [])]) == (1, None):
        number += 1
    assert number > 50
    room = number - 1
    # As much comes as is written, until it is three times as much as there is room for.
    while number < 3 * room:
        work = backlog.next_own(written)
        assert work is not None
        written = work.last
        backlog.confirm(work)
        while number - written < 0.9 * room:
            assert backlog.save([Batch(number, records, [])]) == (1, None)
            number += 1
    assert drained(backlog)[-1] == number - 1
    assert [*tmp_path.iterdir()] == []


def test_many_files_are_few(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path, "w", 64 * 4000)
    for number in range(1, 300):
        backlog.save([batch(number, 1)])
    assert 5 < len([*tmp_path.iterdir()]) <= module._FILES
    dead = [path.name for path in tmp_path.iterdir()]
    backlog.close()
    other = Backlog(tmp_path, "other", 64 * 4000)
    found = []
    again = True
    while work := other.next_orphaned(again=again):
        again = False
        assert work.journal.writer == "w"
        found += numbers(work)
        other.confirm(work)
    assert found == [*range(1, 300)]
    assert len(dead) > 5
    assert [*tmp_path.iterdir()] == []


def test_after_close_the_writer_has_another_id(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path, "w", PLENTY)
    backlog.save([batch(1)])
    backlog.close()
    assert backlog.save([batch(2)]) == (1, None)
    assert len([*tmp_path.iterdir()]) == 2
    other = Backlog(tmp_path, "other", PLENTY)
    assert numbers(other.next_orphaned(again=True)) == [1]
    assert numbers(backlog.next_own(0)) == [2]
    other.close()
    backlog.close()


def test_an_error_of_any_kind_says_how_many_were_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def third_fails(given: Batch) -> bytes:
        if given.number == 3:
            raise MemoryError
        return encode(given)

    monkeypatch.setattr(module, "encode", third_fails)
    backlog = Backlog(tmp_path, "w", PLENTY)
    saved, error = backlog.save([batch(1), batch(2), batch(3)])
    assert (saved, type(error)) == (2, MemoryError)
    assert drained(backlog) == [1, 2]
