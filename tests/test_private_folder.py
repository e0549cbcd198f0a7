"""Folders that are removed at the end, and those of processes that had no end of their own."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gateway.private_folder import held_directory, made_directory

# Makes a folder in its argument, or holds the one that is its argument, until it is killed.
KEEPER = """
import sys
from pathlib import Path
from gateway.private_folder import *
place = sys.argv[1]
with held_directory(Path(place)) if "gateway-" in place else made_directory("gateway-", place):
    print("here", flush=True)
    sys.stdin.read()
"""


def keeper(place: Path) -> subprocess.Popen[str]:
    made = subprocess.Popen(  # noqa: S603  # ours
        [sys.executable, "-c", KEEPER, str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert made.stdout is not None
    assert made.stdout.readline() == "here\n"
    return made


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=30)


def make(parent: Path) -> list[str]:
    """Make a folder; return what there is beside it."""
    with made_directory("gateway-", str(parent)) as folder:
        assert folder.parent == parent
        assert folder.stat().st_mode & 0o777 == 0o700
        found = sorted(each.name for each in parent.iterdir() if each != folder)
    assert not folder.exists()
    return found


def test_the_folder_of_a_killed_process_goes_at_the_next_start(tmp_path: Path) -> None:
    process = keeper(tmp_path)
    try:
        (left,) = tmp_path.iterdir()
        (left / "0.sock").touch()
        assert make(tmp_path) == [left.name]
    finally:
        kill(process)
    assert left.is_dir()
    assert make(tmp_path) == []


def test_it_stays_as_long_as_one_of_its_workers_has_it(tmp_path: Path) -> None:
    supervisor = keeper(tmp_path)
    (left,) = tmp_path.iterdir()
    worker = keeper(left)
    try:
        kill(supervisor)
        assert make(tmp_path) == [left.name]
    finally:
        kill(worker)
    assert make(tmp_path) == []


def test_what_is_not_such_a_folder_stays(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").touch()
    (tmp_path / "gateway-file").touch()
    (tmp_path / "gateway-link").symlink_to(other)
    assert make(tmp_path) == ["gateway-file", "gateway-link", "other"]
    assert (other / "file").exists()


def test_another_users_folder_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gateway-x").mkdir()
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    assert make(tmp_path) == ["gateway-x"]


def test_one_that_is_removed_before_it_is_held_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process begins between the two steps: before it is opened, and before the lock."""
    removed: list[Path] = []
    mkdtemp, flock = tempfile.mkdtemp, fcntl.flock

    def make_directory(prefix: str, dir: str) -> str:
        made = mkdtemp(prefix=prefix, dir=dir)
        if not removed:
            removed.append(Path(made))
            os.rmdir(made)
        return made

    def lock(descriptor: int, operation: int) -> None:
        if len(removed) == 1 and operation == fcntl.LOCK_SH:
            (found,) = tmp_path.iterdir()
            removed.append(found)
            found.rmdir()
        flock(descriptor, operation)

    monkeypatch.setattr(tempfile, "mkdtemp", make_directory)
    monkeypatch.setattr(fcntl, "flock", lock)
    with made_directory("gateway-", str(tmp_path)) as folder:
        assert folder.is_dir()
        assert folder not in removed
    assert len(removed) == 2


def test_a_folder_that_is_held_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), held_directory(tmp_path / "none"):
        pass
