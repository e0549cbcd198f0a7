"""What journals hold of spending, read beside whoever writes them to the database."""

from __future__ import annotations

from pathlib import Path

from gateway.core.records.record import EndReason, Record
from gateway.store.writing.batch import Batch, encode
from gateway.store.writing.journal import Journal
from gateway.store.writing.journal_spending import spent_in_journals

DAY = 86_400


def paid(token: str | None, cost: int | None, time: float = 10.0) -> Record:
    return Record(
        request_id="r",
        time=time,
        token=token,
        status=200,
        end_reason=EndReason.COMPLETE,
        cost_nano_usd=cost,
    )


def journal(folder: Path, writer: str, *batches: list[Record]) -> Journal:
    found = Journal.create(folder, writer)
    for number, records in enumerate(batches, 1):
        found.append(number, encode(Batch(number, records, [])), 1 << 20)
    return found


def test_sums_by_token_and_day_over_all_files(tmp_path: Path) -> None:
    # One is locked by a process that lives.
    locked = journal(tmp_path, "a" * 16, [paid("x", 1), paid("y", 2)], [paid("x", 4)])
    journal(
        tmp_path, "b" * 16, [paid("x", 8, DAY + 1), paid("x", 16), paid(None, 9), paid("x", None)]
    ).close()
    found = spent_in_journals(tmp_path, 10)
    assert found == {("token", "x", 0): 21, ("token", "y", 0): 2, ("token", "x", DAY): 8}
    # Nothing was taken away or unlocked.
    assert len(list(tmp_path.iterdir())) == 2
    assert Journal.adopt(locked.path) is None
    locked.close()


def test_sums_by_team(tmp_path: Path) -> None:
    records = [paid("x", 1), paid("x", 2), paid("y", 4)]
    records[1].team = records[2].team = "search"
    journal(tmp_path, "a" * 16, records).close()
    assert spent_in_journals(tmp_path, 10) == {
        ("token", "x", 0): 3,
        ("token", "y", 0): 4,
        ("team", "search", 0): 6,
    }


def test_names_are_those_on_record(tmp_path: Path) -> None:
    journal(tmp_path, "a" * 16, [paid("n" * 300, 1)]).close()
    assert spent_in_journals(tmp_path, 10) == {("token", "n" * 200, 0): 1}


def test_damage_and_strange_files_cost_only_themselves(tmp_path: Path) -> None:
    file = journal(tmp_path, "a" * 16, [paid("x", 1)], [paid("x", 2)], [paid("x", 4)])
    size = file.size // 3
    file.append(4, b"\xc1 no batch", 1 << 20)
    file.close()
    data = bytearray(file.path.read_bytes())
    data[size + 40] ^= 0xFF
    file.path.write_bytes(data)
    (tmp_path / "empty.1.journal").touch()
    (tmp_path / "folder.1.journal").mkdir()
    assert spent_in_journals(tmp_path, 10) == {("token", "x", 0): 5}


def test_what_was_read_until_the_time_is_up(tmp_path: Path) -> None:
    journal(tmp_path, "a" * 16, [paid("x", 1)], [paid("x", 2)]).close()
    assert spent_in_journals(tmp_path, -1) == {("token", "x", 0): 1}


def test_no_folder_is_no_spending(tmp_path: Path) -> None:
    assert spent_in_journals(tmp_path / "none", 1) == {}
