from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.store.writing import rejected
from gateway.store.writing.batch import Rejected

from ..recording import event, record


def test_each_is_a_line_that_a_person_can_read(tmp_path: Path) -> None:
    rejected.write_rejected(tmp_path / "j", [Rejected(record(1, error="\ud800"), "bad")])
    rejected.write_rejected(
        tmp_path / "j", [Rejected(event(2), "worse"), Rejected((1, "x"), "a row")]
    )
    path = tmp_path / "j" / rejected.NAME
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["reason"] for line in lines] == ["bad", "worse", "a row"]
    assert lines[0]["item"]["request_id"] == "req-1"
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejected, "_MOST_BYTES", 2000)
    for number in range(100):
        rejected.write_rejected(tmp_path, [Rejected(record(number), "bad")])
    assert 0 < (tmp_path / rejected.NAME).stat().st_size <= 2000
