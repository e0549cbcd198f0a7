"""What a supervisor says of its upgrades."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.process.serving.outcomes import files_of
from gateway.process.serving.upgrade_file import UpgradeFile, path_of, read_upgrades
from gateway.serve.crew.upgrade import Upgrade

DONE = Upgrade(1.0, 2, 3.0, "1.1", (7, 8), "why not")


def test_what_is_told_is_read_and_is_no_outcome_of_a_reload(tmp_path: Path) -> None:
    pid_file = tmp_path / "gateway.pid"
    file = UpgradeFile(pid_file)
    path = path_of(pid_file, os.getpid())
    assert read_upgrades(path) is None
    file.write()
    assert read_upgrades(path) == []
    file.write((DONE, Upgrade(4.0, 2)))
    assert read_upgrades(path) == [DONE, Upgrade(4.0, 2)]
    assert path.stat().st_mode & 0o777 == 0o600
    assert files_of(pid_file, os.getpid()) == []
    file.remove()
    file.remove()
    assert os.listdir(tmp_path) == []


def test_without_a_pid_file_nothing_is_told() -> None:
    file = UpgradeFile(None)
    file.write((DONE,))
    file.remove()


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff"])
def test_a_file_that_says_nothing_of_the_kind(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "gateway.pid.1.upgrade"
    file.write_bytes(content)
    assert read_upgrades(file) is None
