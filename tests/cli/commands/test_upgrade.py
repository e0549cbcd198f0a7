"""`gateway upgrade`, in this process: what it says of what the supervisor has written down."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from gateway.cli.commands import upgrade as command
from gateway.process.serving.upgrade_file import path_of
from gateway.serve import pidfile
from gateway.serve.crew.upgrade import Upgrade

ENOUGH = '[providers.d]\nkind = "demo"\n[[models]]\nname = "m"\n' + (
    'routes = [{ provider = "d", model = "d" }]\n'
)
EARLIER = Upgrade(1.0, 2, 2.0, "0.9", (1, 2))
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    file = tmp_path / "config.toml"
    file.write_text(ENOUGH)
    pid_file = tmp_path / "gateway.pid"

    def write(pid: int, *upgrades: Upgrade) -> None:
        path = path_of(pid_file, pid)
        part = path.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(upgrades))
        part.replace(path)

    def ran(
        *steps: Upgrade | str | None,
        pids: Sequence[int] = (77,),
        able: bool = True,
        patience: float = 5,
    ) -> tuple[int, str, str]:
        asked: list[int] = []
        killed: list[int] = []

        def goes_on(pid: int, now: float) -> None:
            for step in steps:
                time.sleep(0.15)
                if isinstance(step, str):
                    killed.append(pid)
                elif step is None:
                    path_of(pid_file, pid).unlink()
                else:
                    ended = None if step.ended is None else now
                    write(pid, EARLIER, msgspec.structs.replace(step, began=now, ended=ended))

        def kill(pid: int, signum: int) -> None:
            if pid in killed:
                raise ProcessLookupError
            if not signum:
                return
            assert signum == signal.SIGUSR2
            asked.append(pid)
            threading.Thread(target=goes_on, args=(pid, time.monotonic())).start()

        for pid in pids:
            if able:
                write(pid, EARLIER)
        monkeypatch.setattr(pidfile, "running", lambda path: list(pids))
        monkeypatch.setattr(os, "kill", kill)
        status = command.upgrade_running(file, patience)
        if not able:
            assert asked == []
        return status, *capsys.readouterr()

    return ran


def test_it_says_each_step_and_how_it_went(run: Run) -> None:
    steps = (
        Upgrade(0, 2),
        Upgrade(0, 2, None, "1.\x1b1", (5,)),
        Upgrade(0, 2, 1.0, "1.1", (5, 6)),
    )
    later = "; the one before finishes what it has\n"
    assert run(*steps) == (
        0,
        f"process 77: worker 1 of 2 is process 5 now, of version 1.\\x1b1{later}"
        f"process 77: worker 2 of 2 is process 6 now, of version 1.1{later}"
        "process 77 has been upgraded: version 1.1 serves\n",
        "",
    )


def test_a_supervisor_that_stays_is_noted(run: Run) -> None:
    done = Upgrade(0, 1, 1.0, "1.1", (5,), supervisor="the code on disk is\nbroken")
    status, out, err = run(done)
    assert status == 0
    assert "process 77 has been upgraded: version 1.1 serves\n" in out
    assert "note: process 77 itself" in err
    assert "until a restart: the code on disk is\\nbroken\n" in err


def test_one_that_is_killed_is_not_waited_for(run: Run) -> None:
    status, _, err = run(Upgrade(0, 1), "killed", patience=60)
    assert (status, err) == (1, "error: process 77 has ended\n")


def test_it_says_why_not(run: Run) -> None:
    status, out, err = run(Upgrade(0, 2, 1.0, problem="the new worker\ncan't serve"))
    assert (status, out) == (1, "")
    assert err == (
        "error: process 77: the new worker\\ncan't serve\n"
        "error: process 77: none of its workers replaced; those that are not go on\n"
    )
    status, _, err = run(Upgrade(0, 2, 1.0, "1.1", (5,), "no"))
    assert status == 1
    assert "1 of its 2 workers replaced" in err


def test_one_without_a_supervisor_is_not_signalled(run: Run) -> None:
    status, _, err = run(able=False)
    assert status == 1
    assert "`--workers 1`" in err


def test_one_that_ends_or_takes_too_long(run: Run) -> None:
    assert run(Upgrade(0, 2), None)[2] == "error: process 77 has ended\n"
    status, _, err = run(Upgrade(0, 2), patience=0.4)
    assert status == 1
    assert "not finished within 0.4 s; it goes on" in err


def test_several_are_upgraded_one_after_the_other_until_one_fails(run: Run) -> None:
    good, bad = Upgrade(0, 1, 1.0, "1.1", (5,)), Upgrade(0, 1, 1.0, problem="no")
    assert run(good, pids=(77, 78))[1].count("has been upgraded") == 2
    status, _, err = run(bad, pids=(77, 78))
    assert status == 1
    assert err.endswith("note: nothing was asked of process 78\n")


def test_where_nobody_runs_or_the_file_is_wrong(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = run(pids=())
    assert status == 1
    assert "no gateway is running" in err
    (tmp_path / "config.toml").write_text("[server\n")
    assert command.upgrade_running(tmp_path / "config.toml", 1) == 1
    assert "nothing was sent" in capsys.readouterr().err
