from __future__ import annotations

from gateway.store.writing.queue import BATCH_ROWS, MOST_ROWS, WriteQueue

from ..recording import event, record


def test_batches_have_the_oldest_first_and_numbers_from_one() -> None:
    waiting = WriteQueue(10_000)
    for number in range(MOST_ROWS + 5):
        waiting.record(record(number))
    waiting.audit(event(1))
    assert len(waiting) == MOST_ROWS + 6
    first, second = waiting.take_all()
    assert (first.number, second.number) == (1, 2)
    assert [each.request_id for each in second.records] == [
        f"req-{number}" for number in range(MOST_ROWS, MOST_ROWS + 5)
    ]
    assert len(first.events) == 1
    assert waiting.take() is None
    assert repr(waiting) == "<WriteQueue 0 records, 0 events>"


def test_events_say_that_there_is_something_and_that_it_is_enough() -> None:
    waiting = WriteQueue(10_000)
    assert not waiting.arrived.is_set()
    waiting.audit(event(1))
    assert waiting.arrived.is_set()
    assert waiting.take() is not None
    assert not waiting.arrived.is_set()
    for number in range(BATCH_ROWS):
        assert not waiting.full.is_set()
        waiting.record(record(number))
    assert waiting.full.is_set()
    assert waiting.take() is not None
    assert not waiting.arrived.is_set()
    assert not waiting.full.is_set()


def test_what_is_put_back_is_taken_again_under_the_same_number() -> None:
    waiting = WriteQueue(10_000)
    for number in range(2 * MOST_ROWS):
        waiting.record(record(number))
    batches = waiting.take_all()
    waiting.record(record(9999))
    waiting.put_back(batches[1:])
    assert waiting.arrived.is_set()
    again = waiting.take_all()
    assert [batch.number for batch in again] == [2, 3]
    assert again[0] == batches[1]
    assert [each.request_id for each in again[1].records] == ["req-9999"]


def test_the_oldest_records_make_room_and_audit_events_do_not() -> None:
    waiting = WriteQueue(1000)
    waiting.audit(event(1))
    for number in range(2500):
        waiting.record(record(number))
    assert waiting.dropped == 1500
    [batch] = waiting.take_all()
    assert batch.records[0].request_id == "req-1500"
    assert len(batch.records) == 1000
    assert len(batch.events) == 1
    waiting.put_back([batch])
    waiting.record(record(1))
    assert waiting.dropped == 1501
