from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.recognised import batches
from gateway.core.dialects.recognised.batches import BatchUsage, ended_usage, result_files
from gateway.core.records.usage import Usage


def chat(model: str = "a", **usage: int) -> bytes:
    return json.dumps({"response": {"body": {"model": model, "usage": usage}}}).encode()


def message(model: str = "a", **usage: int) -> bytes:
    return json.dumps({"result": {"message": {"model": model, "usage": usage}}}).encode()


LINES = [
    chat(prompt_tokens=3, completion_tokens=4),
    b"",
    b'{"response": null, "error": {"message": "expired"}}',
    b'{"response": {"status_code": 400, "body": {"error": {}}}}',
    b'{"result": {"type": "expired"}}',
    message("b", input_tokens=5, output_tokens=6),
    chat(input_tokens=10, output_tokens=20),
]
FOUND = {"a": Usage(13, 24), "b": Usage(5, 6)}


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_any_chunking_finds_the_same(end: bytes) -> None:
    data = end.join(LINES)
    for cut in range(len(data) + 1):
        for first, second in ((data[:cut], data[cut:]), (data[:cut], data[cut:] + end)):
            usage = BatchUsage()
            usage.feed(first)
            usage.feed(second)
            usage.end()
            assert (usage.whole, usage.by_model) == (True, FOUND)
    usage = BatchUsage()
    for position in range(len(data)):
        usage.feed(data[position : position + 1])
    usage.end()
    assert (usage.whole, usage.by_model) == (True, FOUND)


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b"text", b"\xff", b'{"response": 5}', b"[" * 100_000]
)
def test_what_cannot_be_read_makes_all_unknown(line: bytes) -> None:
    usage = BatchUsage()
    usage.feed(LINES[0] + b"\n" + line + b"\n" + LINES[0])
    usage.end()
    assert not usage.whole


def test_no_line_and_no_number_of_models_takes_much_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "_LONGEST", 1000)
    usage = BatchUsage()
    for _ in range(11):
        usage.feed(b"x" * 100)
    assert not usage.whole
    assert not usage._parts
    usage.feed(b"x" * 100)
    assert not usage._parts
    usage = BatchUsage()
    for number in range(100):
        usage.feed(chat(f"m{number}", prompt_tokens=1) + b"\n")
    assert not usage.whole
    assert len(usage.by_model) == 64


DONE: dict[str, Any] = {
    "status": "completed",
    "model": "a",
    "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
}


@pytest.mark.parametrize("status", ["completed", "expired", "cancelled"])
def test_a_batch_that_has_ended_says_what_it_has_used(status: str) -> None:
    found = ended_usage(DONE | {"status": status})
    assert found is not None
    assert found.by_model == {"a": Usage(3, 4)}


@pytest.mark.parametrize(
    "found",
    [
        None,
        [],
        {},
        DONE | {"status": "in_progress"},
        DONE | {"status": "finalizing"},
        DONE | {"status": "failed"},
        DONE | {"status": ["completed"]},
        DONE | {"model": None},
        DONE | {"usage": None},
        DONE | {"usage": {"input_tokens": 0, "output_tokens": 0}},
        DONE | {"usage": "much"},
    ],
)
def test_others_say_nothing(found: Any) -> None:
    assert ended_usage(found) is None


def test_the_files_with_answers() -> None:
    batch = {"output_file_id": "file-1", "error_file_id": "file-2", "input_file_id": "file-3"}
    assert result_files(batch) == ["file-1"]
    assert result_files({"output_file": "uuid"}) == ["uuid"]
    assert result_files({"output_file_id": None}) == []
    assert result_files([]) == []
