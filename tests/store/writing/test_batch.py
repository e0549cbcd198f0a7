from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.core.records.record import AttemptRecord
from gateway.store.writing.batch import Batch, Rejected, decode, encodable, encode
from gateway.store.writing.rows import request_row

from ..recording import event, record


def test_it_comes_back_as_it_was() -> None:
    batch = Batch(3, [record(1), record(2, metadata={"a": "b"})], [event(1, details={"x": [1]})])
    assert decode(encode(batch)) == (batch, [])
    assert len(batch) == 3
    assert repr(batch) == "<Batch 3: 2 records, 1 events>"


@pytest.mark.parametrize(
    "changes",
    [
        {"error": "lone \ud800"},
        {"input_tokens": 2**70},
        {"metadata": {"a\udfff": "\0"}},
        {"attempts": [AttemptRecord(provider="p", model="\ud800", status=2**90)]},
        {"latency_ms": float("nan")},
    ],
)
def test_whatever_a_caller_makes_up_gives_the_row_that_it_would_have_given(
    changes: dict[str, Any],
) -> None:
    odd = record(1, **changes)
    batch, rejected = decode(encode(Batch(1, [odd, record(2)], [])))
    assert not rejected
    assert request_row(batch.records[0], 1) == request_row(odd, 1)
    assert batch.records[1] == record(2)


def test_details_that_msgpack_has_no_word_for_become_text() -> None:
    deep: list[Any] = []
    for _ in range(50):
        deep = [deep]
    batch, rejected = decode(encode(Batch(1, [], [event(1, details={"at": 1j, "deep": deep})])))
    assert not rejected
    assert batch.events[0].details["at"] == "1j"


def test_one_item_of_another_version_is_not_the_end_of_the_others() -> None:
    payload = msgspec.msgpack.encode({
        "number": 4,
        "records": [{"request_id": "x", "time": 1.0, "end_reason": "of_the_future"},
                    {"request_id": "y", "time": 1.0, "a_field_of_the_future": 1}],
        "events": [],
    })  # fmt: skip
    batch, rejected = decode(payload)
    assert [each.request_id for each in batch.records] == ["y"]
    assert [each.request_id for each in rejected] == ["x"]
    assert "of_the_future" in rejected[0].reason


def test_noise_is_no_batch() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(b"\xc1noise")


def test_encodable_is_encodable() -> None:
    found = encodable({1: b"x", "r": record(1), "t": (1, 2**99), "s": {1}})
    assert msgspec.json.decode(msgspec.json.encode(found))["r"]["request_id"] == "req-1"


def test_what_was_rejected_is_known_by_its_request() -> None:
    assert Rejected(record(1), "").request_id == "req-1"
    assert Rejected({"request_id": "x"}, "").request_id == "x"
    assert Rejected(event(1), "").request_id is None


def test_one_item_that_cannot_be_encoded_holds_up_no_other() -> None:
    class Broken:
        def __str__(self) -> str:
            raise KeyError("broken")

    given = Batch(3, [record(1), record(2)], [])
    given.records[0].metadata = {"a": Broken()}  # type: ignore[dict-item]
    found, rejected = decode(encode(given))
    assert [each.request_id for each in found.records] == [given.records[1].request_id]
    assert [each.item for each in rejected] == [{"error": "KeyError: 'broken'"}]
