from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.output.atomic_file import OutputFile


def test_it_is_there_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with OutputFile(path) as sink:
        sink.write(b"x")
        assert not path.exists()
    assert path.read_bytes() == b"x"
    assert [*tmp_path.iterdir()] == [path]
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_failed_leaves_what_was_before(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"before")

    def interrupted() -> None:
        with OutputFile(path) as sink:
            sink.write(b"x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"before"
    assert [*tmp_path.iterdir()] == [path]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), OutputFile(tmp_path):
        pass
    assert [*tmp_path.iterdir()] == []
