"""A fork is to the test what a process that was started is."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gateway.child_process import python_path
from gateway.dashboard.page_process.maker import COMMAND

from .popen import GATEWAY, NAME, PAGES, ROOT, SCRIPT, Popen, can_fork, fork_server, run

pytestmark = pytest.mark.slow

ENV = {**os.environ, "PYTHONPATH": str(ROOT)}
CONFIG = (
    '[server]\nbind = "127.0.0.1:0"\ndrain_delay = 0\n[store]\nurl = ""\n'
    '[providers.p]\nkind = "demo"\n'
    '[[models]]\nname = "m"\nroutes = [{ provider = "p", model = "x" }]\n'
)


@pytest.mark.parametrize(
    "arguments", [("--version",), ("check",), ("check", "none.toml"), ("nonsense",), ("init",)]
)
def test_it_says_and_ends_with_the_same(arguments: tuple[str, ...], tmp_path: Path) -> None:
    outcomes = []
    for name, start in (("a", run), ("b", subprocess.run)):
        folder = tmp_path / name
        folder.mkdir()
        found = start(
            [*GATEWAY, *arguments], capture_output=True, text=True, cwd=folder, env=ENV, check=False
        )
        said = [text.replace(str(folder), "") for text in (found.stdout, found.stderr)]
        outcomes.append((found.returncode, *said, sorted(os.listdir(folder))))
    assert outcomes[0] == outcomes[1]
    assert any(outcomes[0][1:3])


@pytest.mark.parametrize(
    "script",
    [
        "import sys\nprint(sys.argv, __name__)\ndef f(): return sys\nprint(f().argv)",
        "raise SystemExit(3)",
        "1 / 0",
        "import trio\nasync def main(): print(1)\ntrio.run(main)",
    ],
)
def test_so_does_a_script(script: str, tmp_path: Path) -> None:
    outcomes = []
    for start in (run, subprocess.run):
        command = [*SCRIPT, script, "a", str(tmp_path)]
        found = start(command, capture_output=True, text=True, cwd=ROOT, env=ENV, check=False)
        last = found.stderr.splitlines()[-1:]
        outcomes.append((found.returncode, found.stdout, last))
    assert outcomes[0] == outcomes[1]


def test_it_is_a_child_with_what_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CONFIG)
    with contextlib.ExitStack() as stack:
        started = []
        for start in (Popen, subprocess.Popen):
            process = stack.enter_context(
                start(
                    [*GATEWAY, "serve"],
                    stderr=subprocess.PIPE,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    cwd=tmp_path,
                    env={**ENV, "ONLY_HERE": "1"},
                    start_new_session=True,
                )
            )
            stack.enter_context(_killed_at_the_end(process))
            _wait_ready(process)
            started.append(process)
        # What begins beside the requests, such as its threads, does so a moment after it is ready.
        until = time.monotonic() + 30
        while True:
            one, other = (_facts(each.pid) for each in started)
            if one == other:
                break
            assert time.monotonic() < until, (one, other)
            time.sleep(0.05)
        assert one["parent"] == os.getpid()
        for process in started:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0


def test_a_worker_has_what_its_supervisor_gives_it_and_ends_with_it(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CONFIG)
    facts: list[dict[str, object]] = []
    for start in (Popen, subprocess.Popen):
        with (
            start(
                [*GATEWAY, "serve", "--workers", "2"],
                stderr=subprocess.PIPE,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd=tmp_path,
                env=ENV,
            ) as process,
            _killed_at_the_end(process),
        ):
            _wait_ready(process)
            # A fork is called as its server is for a moment.
            deadline = time.monotonic() + 30
            while True:
                started = psutil.Process(process.pid).children()
                crew = [each for each in started if each.name() != NAME]
                if len(crew) == 2:
                    break
                assert time.monotonic() < deadline, started
                time.sleep(0.01)
            facts.append(_facts_of_both(*crew))
            assert [each.ppid() for each in crew] == [process.pid] * 2
            for each in crew:
                assert (os.getsid(each.pid), os.getpgid(each.pid)) == (each.pid, each.pid)
            if start is Popen:
                # Only where they are forks is there one who forks, and workers are started by it.
                assert len(started) == 3
                assert all("tests.fork_server.server" in each.cmdline() for each in started)
            process.kill()
            process.wait(30)
            _, alive = psutil.wait_procs(started, timeout=30)
            assert not alive
    assert facts[0] == facts[1]


def test_a_signal_that_ends_it_is_its_status(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CONFIG)
    with Popen([*GATEWAY, "serve"], cwd=tmp_path, env=ENV, stderr=subprocess.DEVNULL) as process:
        assert process.poll() is None
        process.kill()
        assert process.wait(20) == -signal.SIGKILL


def test_what_python_itself_would_read_is_not_forked(tmp_path: Path) -> None:
    plain = {name: value for name, value in ENV.items() if not name.startswith("PYTHON")}
    (tmp_path / "gateway").mkdir()
    assert can_fork([*GATEWAY, "serve"], ENV)
    assert can_fork([*GATEWAY, "serve"], ENV, tmp_path)
    assert can_fork([*GATEWAY, "serve"], plain, ROOT)
    assert can_fork([*GATEWAY, "serve"], plain, tmp_path.parent)
    assert can_fork([*SCRIPT, "pass"], ENV)
    assert can_fork(COMMAND, {**ENV, **python_path()})
    refused: list[Callable[[], bool]] = [
        lambda: can_fork(["env", *GATEWAY], ENV),
        lambda: can_fork([*GATEWAY[:2], "hypercorn"], ENV),
        lambda: can_fork([*GATEWAY, "serve"], {**ENV, "PYTHONPATH": "elsewhere"}),
        lambda: can_fork([*GATEWAY, "serve"], {**ENV, "PYTHONWARNINGS": "error"}),
        lambda: can_fork(COMMAND, {**ENV, "PYTHONPATH": "elsewhere"}),
        lambda: can_fork([*PAGES, "more"], {**ENV, **python_path()}),
        # Other code would run.
        lambda: can_fork([*GATEWAY, "serve"], plain, tmp_path),
    ]
    assert not any(each() for each in refused)


def test_one_server_serves_all() -> None:
    assert fork_server() is fork_server()


@contextlib.contextmanager
def _killed_at_the_end(process: subprocess.Popen[Any]) -> Iterator[None]:
    """Leave no process behind that the end of `Popen` would wait for."""
    try:
        yield
    finally:
        process.kill()


def _wait_ready(process: subprocess.Popen[Any]) -> None:
    assert process.stderr is not None
    said = b""
    while b"is ready at" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line


def _facts(pid: int) -> dict[str, object]:
    seen = psutil.Process(pid)
    return {
        "parent": seen.ppid(),
        "folder": seen.cwd(),
        "session": os.getsid(pid) == pid,
        "threads": seen.num_threads(),
        "signals": _signals(pid),
        "open": _kinds(pid),
        "umask": _status(pid)["Umask"],
    }


def _facts_of_both(*crew: psutil.Process) -> dict[str, object]:
    """Return what is true of both workers, once both have begun to serve."""
    until = time.monotonic() + 60
    while True:
        one, other = ({**_facts(each.pid), "name": each.name()} for each in crew)
        # How many threads of a pool are there is a matter of moments.
        del one["threads"], other["threads"]
        caught = int(_signals(crew[0].pid)[2], 16)
        if one == other and caught & 1 << signal.SIGTERM - 1:
            del one["parent"]
            return one
        assert time.monotonic() < until, (one, other)
        time.sleep(0.05)


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


def _signals(pid: int) -> tuple[str, ...]:
    found = _status(pid)
    return found["SigBlk"], found["SigIgn"], found["SigCgt"]


def _kinds(pid: int) -> set[str]:
    """Return what its descriptors are, without the numbers of sockets and pipes."""
    folder = Path(f"/proc/{pid}/fd")
    found = set()
    for each in folder.iterdir():
        # One may have been closed by now.
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(each).split(":[")[0])
    # What a worker counts is in a file of its own, and it holds the folder of all.
    return {re.sub(r"gateway-(metrics|group)-.*", r"\1", each) for each in found}
