from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from gateway.config.reload_status import ReloadOutcome
from gateway.process.serving.outcomes import ToldReloads, files_of, read_told, sweep
from gateway.serve.crew.member import WORKER

OUTCOME = ReloadOutcome(2, ("server.bind",), (), ("models.m",), ("half is gone",))


async def reload(cause: str) -> ReloadOutcome:
    assert cause == "SIGHUP"
    return OUTCOME


async def test_what_is_told_is_how_the_last_reload_went(tmp_path: Path) -> None:
    pid_file = tmp_path / "gateway.pid"
    reloads = ToldReloads(reload)
    reloads.begin(pid_file)
    (file,) = files_of(pid_file, os.getpid())
    assert file.name == f"gateway.pid.{os.getpid()}.0"
    assert file.stat().st_mode & 0o777 == 0o600
    told = read_told(file)
    assert told is not None
    assert (told.began, told.outcome.generation) == (0.0, 1)
    before = time.monotonic()
    assert await reloads("SIGHUP") == OUTCOME
    told = read_told(file)
    assert told is not None
    assert told.outcome == OUTCOME
    assert before <= told.began <= time.monotonic()
    reloads.end()
    assert os.listdir(tmp_path) == []
    # One that comes on the way out leaves nothing behind.
    await reloads("SIGHUP")
    assert os.listdir(tmp_path) == []


async def test_without_a_pid_file_nothing_is_told(tmp_path: Path) -> None:
    reloads = ToldReloads(reload)
    reloads.begin(None)
    assert await reloads("SIGHUP") == OUTCOME
    reloads.end()


async def test_a_worker_tells_under_its_supervisor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WORKER, "3")
    reloads = ToldReloads(reload)
    reloads.begin(tmp_path / "gateway.pid", supervised=True)
    assert [each.name for each in files_of(tmp_path / "gateway.pid", os.getppid())] == [
        f"gateway.pid.{os.getppid()}.3"
    ]


async def test_where_nothing_can_be_written_reloads_go_on(tmp_path: Path) -> None:
    reloads = ToldReloads(reload)
    reloads.begin(tmp_path / "none" / "gateway.pid")
    assert await reloads("SIGHUP") == OUTCOME
    reloads.end()


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[]", b"\xff"])
def test_a_file_that_says_nothing_of_the_kind(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "gateway.pid.1.0"
    if content is not None:
        file.write_bytes(content)
    assert read_told(file) is None


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as gone:  # noqa: S607
        gone.wait()
    own = f"gateway.pid.{os.getpid()}.0"
    killed = f"gateway.pid.{gone.pid}.upgrade"
    (tmp_path / killed).touch()
    others = ["gateway.pid", own, "gateway.pid.x.0", "gateway.pid.1", "other.pid.1.0"]
    for name in (*others, f"gateway.pid.{gone.pid}.0", f"gateway.pid.{gone.pid}.1"):
        (tmp_path / name).touch()
    sweep(tmp_path / "gateway.pid")
    assert sorted(os.listdir(tmp_path)) == sorted(others)
    sweep(None)
    sweep(tmp_path / "none" / "gateway.pid")


async def test_a_successor_s_file_stays(tmp_path: Path) -> None:
    pid_file = tmp_path / "gateway.pid"
    old, new = ToldReloads(reload), ToldReloads(reload)
    old.begin(pid_file)
    new.begin(pid_file)
    old.end()
    await old("SIGHUP")
    (file,) = files_of(pid_file, os.getpid())
    told = read_told(file)
    assert told is not None
    assert told.began == 0.0
    new.end()
    assert os.listdir(tmp_path) == []
