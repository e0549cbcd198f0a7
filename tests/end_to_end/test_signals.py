"""SIGHUP and `gateway reload`, in every way to run, as an operator uses them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import pytest
import trio

from ..fork_server import popen
from .caller import ask, calling, generations
from .harness import GATEWAY, HYPERCORN, PATIENCE, ROOT, Served, children, spawned
from .provider import until

pytestmark = pytest.mark.slow

Write = Callable[[str], Path]

SEVERAL: Final = (*GATEWAY, "--workers", "2")
ADMINS: Final = '[[admins]]\nname = "root"\nkey = "sk-admin"\n'
RELOAD: Final = (sys.executable, "-m", "gateway", "reload")


def models(*names: str, server: str = "drain_delay = 0", more: str = "") -> str:
    """Return a configuration with these models."""
    tables = "".join(
        f'[[models]]\nname = "{name}"\nroutes = [{{ provider = "p", model = "x" }}]\n'
        for name in names
    )
    return (
        f'[server]\nbind = "127.0.0.1:0"\n{server}\n[overload]\nlag = 0\n'
        f'[providers.p]\nkind = "demo"\ntoken_interval = 0\n{tables}{more}'
    )


def listed(file: Path) -> list[int]:
    return [int(line) for line in file.with_name("gateway.pid").read_text().splitlines()]


def reload(file: Path, *, unset: str = "") -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != unset}
    return popen.run(
        [*RELOAD, "--config", str(file)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        cwd=file.parent,
        env={**env, "PYTHONPATH": str(ROOT)},
    )


async def becomes(ask_for: str, status: int, port: int) -> None:
    """Wait until calls for the model `ask_for` get `status`, each on a connection of its own."""
    with trio.fail_after(PATIENCE):
        while (await ask(port, model=ask_for)).status != status:  # noqa: ASYNC110  # another process
            await trio.sleep(0.02)


async def says(served: Served, words: bytes, times: int = 1) -> None:
    await until(
        lambda: served.said.count(words) >= times, f"{words!r} in {served.said!r}", PATIENCE
    )


@contextlib.asynccontextmanager
async def gateway(command: Sequence[str], file: Path) -> AsyncIterator[Served]:
    """Run `command` on `file`; at the end it leaves cleanly, and its pid file with it."""
    async with spawned(command, file) as served:
        yield served
        served.terminate()
        assert await served.exit_status() == 0
    assert not file.with_name("gateway.pid").exists()
    assert b"Traceback" not in served.said


@pytest.mark.parametrize("command", [GATEWAY, HYPERCORN], ids=["gateway-serve", "hypercorn-cli"])
async def test_sighup_to_whom_the_pid_file_names(command: Sequence[str], write: Write) -> None:
    file = write(models("m"))
    async with gateway(command, file) as served:
        (pid,) = listed(file)
        assert pid in {served.pid, *children(served.pid)}
        async with calling(served.port) as kept:
            await kept.ask(model="n")
            assert (await kept.reply()).status == 404
            file.write_text(models("n"))
            os.kill(pid, signal.SIGHUP)
            await becomes("n", 200, served.port)
            # The connection from before is on the new configuration as well.
            for model, status in (("n", 200), ("m", 404)):
                await kept.ask(model=model)
                assert (await kept.reply()).status == status

        # What is wrong is said, and changes nothing.
        file.write_text(models("m", more="[lgo]\n"))
        os.kill(pid, signal.SIGHUP)
        await says(served, b"did you mean 'log'?")
        assert (await ask(served.port, model="n")).status == 200
        assert listed(file) == [pid]


async def test_all_workers_follow_and_stay_the_same_processes(write: Write) -> None:
    file = write(models("m", more=ADMINS))
    async with gateway(SEVERAL, file) as served:
        # The supervisor is the one to signal; it says that it is ready with its first worker.
        assert listed(file) == [served.pid]
        workers = set(children(served.pid))
        with trio.fail_after(PATIENCE):
            while set(before := await generations(served.port, "sk-admin")) != workers:
                pass
        file.write_text(models("n", more=ADMINS))
        found = await trio.to_thread.run_sync(reload, file)
        assert found.returncode == 0, found.stderr
        assert found.stdout == (
            f"process {served.pid} (2 workers) has reloaded; changed: models.m, models.n\n"
        )
        with trio.fail_after(PATIENCE):
            after: dict[int, int] = {}
            while any(after.get(pid) != before[pid] + 1 for pid in workers):
                after |= await generations(served.port, "sk-admin")
        for _ in range(12):
            assert (await ask(served.port, model="n")).status == 200
        assert set(children(served.pid)) == workers


async def test_gateway_reload_checks_before_it_tells(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(models("m"))
    run = partial(trio.to_thread.run_sync, reload, file)
    found = await run()
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.startswith(f"error: no gateway is running on {file}, or none with the pid")

    monkeypatch.setenv("A_KEY", "sk-secret")
    async with gateway(GATEWAY, file) as served:
        file.write_text(models("n", more="[lgo]\n"))
        found = await run()
        assert (found.returncode, found.stdout) == (1, "")
        assert "did you mean 'log'?" in found.stderr
        assert "nothing was sent" in found.stderr

        # What only this shell lacks is no reason: the gateway has it.
        file.write_text(models("n", more='[[tokens]]\nname = "t"\nkey = "${A_KEY}"\n'))
        found = await trio.to_thread.run_sync(partial(reload, file, unset="A_KEY"))
        assert (found.returncode, found.stdout.count("\n")) == (0, 1), found.stderr
        assert f"process {served.pid} has reloaded; changed: models.m, models.n" in found.stdout
        assert "the environment variable A_KEY is not set" in found.stderr
        await becomes("n", 401, served.port)
