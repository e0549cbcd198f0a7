from __future__ import annotations

from pathlib import Path

import pytest
import trio

from gateway.store.writing.backlog import Backlog
from gateway.store.writing.batch import Batch
from gateway.store.writing.queue import MOST_ROWS, WriteQueue
from gateway.store.writing.unwritten import Unwritten

from ..recording import event, record


def filled(folder: Path, count: int) -> Unwritten:
    unwritten = Unwritten(WriteQueue(10_000), Backlog(folder, "w", 2**30))
    for number in range(count):
        unwritten.waiting.record(record(number))
    return unwritten


async def test_what_is_in_memory_goes_to_the_journal_in_order_and_once(tmp_path: Path) -> None:
    unwritten = filled(tmp_path, MOST_ROWS + 5)
    assert unwritten.hand_over()
    assert not unwritten.hand_over()
    assert unwritten.in_memory == MOST_ROWS + 5
    assert await unwritten.save() is None
    assert (unwritten.is_saved, unwritten.journaled) == (True, MOST_ROWS + 5)
    # The batch is in both until it is known to be written.
    assert unwritten.in_memory == MOST_ROWS
    unwritten.waiting.audit(event(1))
    assert await unwritten.save() is None
    assert unwritten.journaled == MOST_ROWS + 6
    found: list[Batch] = []
    while work := unwritten.backlog.next_own(0):
        found += work.batches
        unwritten.backlog.confirm(work)
    assert [(batch.number, len(batch)) for batch in found] == [(1, MOST_ROWS), (2, 5), (3, 1)]
    assert not unwritten.is_idle
    unwritten.batch = None
    assert unwritten.is_idle


async def test_what_cannot_be_saved_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        await trio.lowlevel.checkpoint()
        raise RuntimeError("can't start new thread")

    unwritten = filled(tmp_path, MOST_ROWS + 5)
    unwritten.hand_over()
    with monkeypatch.context() as patch:
        patch.setattr("trio.to_thread.run_sync", refuse)
        assert isinstance(await unwritten.save(), RuntimeError)
    assert (unwritten.in_memory, unwritten.is_saved, unwritten.journaled) == (
        MOST_ROWS + 5, False, 0
    )  # fmt: skip
    with trio.CancelScope() as scope:
        scope.cancel("before there is a thread")
        await unwritten.save()
    assert unwritten.in_memory == MOST_ROWS + 5
    assert await unwritten.save() is None
    numbers: list[int] = []
    # As many at once as a megabyte holds.
    while (work := unwritten.backlog.next_own(numbers[-1] if numbers else 0)) is not None:
        numbers += [batch.number for batch in work.batches]
        unwritten.backlog.confirm(work)
    assert numbers == [1, 2]
    unwritten.close()


async def test_who_leaves_is_told_what_is_lost(tmp_path: Path) -> None:
    unwritten = filled(tmp_path, 7)
    unwritten.hand_over()
    await unwritten.save()
    unwritten.waiting.record(record(8))
    assert "1 records" in repr(unwritten)
    assert unwritten.close() == 1
    assert (unwritten.in_memory, unwritten.is_idle) == (0, True)
    unwritten = filled(tmp_path, 7)
    unwritten.hand_over()
    assert unwritten.close() == 7
