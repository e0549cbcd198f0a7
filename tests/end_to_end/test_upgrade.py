"""Rolling upgrades of real processes, over real sockets, while they are used."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import trio

from gateway.serve.pidfile import running

from .caller import get
from .harness import GATEWAY, Served, children, config
from .provider import serving, until
from .test_processes import records_of
from .upgrades import CALLERS, Installed, Upgrading, loaded, paced, spawned, upgrade

pytestmark = pytest.mark.slow

Write = Callable[[str], Path]
# A start takes some seconds while others use the processor.
PATIENCE = 60.0
ADMIN = '[[admins]]\nname = "ops"\nkey = "sk-admin-0123456789abcdef"\n'
SLOW_SUPERVISOR = (
    *("cli/serving/several.py", "    known = handover.read(descriptor)\n"),
    "    known = handover.read(descriptor)\n    __import__('time').sleep(1)\n",
)
SLOW_START = (
    *("cli/serving/one.py", "    settle_limits()\n"),
    "    settle_limits()\n    __import__('time').sleep(1)\n",
)


@asynccontextmanager
async def upgraded(
    write: Write, folder: Path, workers: int, seconds: float = 1.5
) -> AsyncIterator[tuple[Installed, Served, Path]]:
    """Serve a copy of the code that can be changed; streams take so many seconds."""
    installed = Installed(folder)
    async with serving(paced(seconds)) as provider:
        file = write(config(provider.port, server="drain_delay = 0.3", tokens=ADMIN))
        async with spawned([*installed.serve, "--workers", str(workers)], file) as served:
            await all_there(served, workers)
            yield installed, served, file


async def all_there(served: Served, count: int) -> None:
    # Each worker has a file for reloads once it is ready.
    folder = Path(f"/proc/{served.pid}/cwd")

    def ready() -> int:
        return len(
            [name for name in os.listdir(folder) if re.fullmatch(r"gateway.pid.\d+.\d+", name)]
        )

    await until(lambda: ready() == count, f"{count} workers", PATIENCE)


async def version_and_processes(port: int) -> tuple[str, set[int]]:
    status = (await get(port, "/admin/api/status", key="sk-admin-0123456789abcdef")).json
    each = status.get("processes") or [status]
    return status["version"], {process["pid"] for process in each}


async def test_nothing_is_lost_while_two_workers_are_replaced(write: Write, tmp_path: Path) -> None:
    async with upgraded(write, tmp_path, 2) as (installed, served, file):
        before = children(served.pid)
        async with loaded(served.port) as load:
            await until(lambda: load.answered > 20, "requests", PATIENCE)
            installed.install("0.1.1-next")
            done = await upgrade(file)
            assert (done.status, done.err) == (0, ""), done
            assert "has been upgraded: version 0.1.1-next serves" in done.out
            after = load.answered
            await until(lambda: load.answered > after + 20, "requests", PATIENCE)
            await until(lambda: load.streamed >= 4, "streams", PATIENCE)
        assert not load.lost, Counter(load.lost)
        crew = children(served.pid)
        assert len(crew) == 2
        assert not set(crew) & set(before)
        assert await version_and_processes(served.port) == ("0.1.1-next", set(crew))
        # So is the supervisor, as the same process, with the same line in the pid file.
        assert took_up(served) == ["0.1.1-next"]
        assert (tmp_path / "gateway.pid").read_text() == f"{served.pid}\n"
        assert running(tmp_path / "gateway.pid") == [served.pid]
        # What is broken changes nothing, and is said in words.
        future = "from __future__ import annotations\n"
        installed.replace("api/routes.py", future, f"{future}import nothing_of_the_kind\n")
        done = await upgrade(file)
        assert done.status == 1
        assert "the code on disk is broken: ModuleNotFoundError: No module named" in done.err
        assert "none of its workers replaced" in done.err
        assert children(served.pid) == crew
        assert took_up(served) == ["0.1.1-next"]
        # One that was killed is started again by the supervisor that took up the others.
        os.kill(crew[0], signal.SIGKILL)
        await all_there_but(served, crew[0], 2)
        crew = children(served.pid)
        served.terminate()
        assert await served.exit_status(PATIENCE) == 0
    assert not any(psutil.pid_exists(pid) for pid in (*before, *crew))
    # All is on record, and ended as it should; the last requests were given up by us.
    ends = Counter(str(each["end_reason"]) for each in records_of(served))
    assert ends["complete"] >= load.answered + load.streamed
    assert set(ends) <= {"complete", "client_gone"}
    assert ends["client_gone"] <= 6
    assert not [name for name in os.listdir(tmp_path) if name.startswith("gateway.pid")]


async def test_whatever_happens_during_upgrades_of_one_worker(write: Write, tmp_path: Path) -> None:
    async with upgraded(write, tmp_path, 1) as (installed, served, file):
        installed.replace(*SLOW_START)

        async def another(than: int) -> int:
            await until(lambda: len(workers(served)) == 2, "a new worker", PATIENCE)
            (found,) = set(workers(served)) - {than}
            return found

        async with loaded(served.port) as load:
            # The new one is killed while it starts: the old one goes on.
            (old,) = children(served.pid)
            async with asked(file) as results:
                os.kill(await another(old), signal.SIGKILL)
            assert results[0].status == 1
            assert "the new worker was ended by SIGKILL before it was ready" in results[0].err
            assert children(served.pid) == [old]

            # Two are asked for at once, and SIGHUP comes while the first new one starts.
            installed.install("0.1.2")
            async with asked(file, 2) as results:
                await another(old)
                os.kill(served.pid, signal.SIGHUP)
            assert [each.status for each in results] == [0, 0], results
            assert all("version 0.1.2 serves" in each.out for each in results)
            assert not load.lost, Counter(load.lost)

            # The old one is killed while it finishes what it has: that is lost, and no more.
            (old,) = children(served.pid)
            async with asked(file) as results:
                new = await another(old)
                await until(lambda: not listens(old), "one that accepts nothing", PATIENCE)
                os.kill(old, signal.SIGKILL)
            assert results[0].status == 0
            assert children(served.pid) == [new]
            assert len(load.lost) <= 3 * CALLERS + 1, Counter(load.lost)

        # The gateway is told to leave while the new one starts.
        async with asked(file) as results:
            await another(new)
            served.terminate()
            assert await served.exit_status(PATIENCE) == 0
        assert results[0].status == 1
        assert "told to leave" in results[0].err or "has ended" in results[0].err
        assert not psutil.pid_exists(new)
    assert not [name for name in os.listdir(tmp_path) if name.startswith("gateway.pid")]


@asynccontextmanager
async def asked(file: Path, times: int = 1) -> AsyncIterator[list[Upgrading]]:
    """Ask for upgrades meanwhile; at the end what came of them is in the list."""
    results: list[Upgrading] = []

    async def ask() -> None:
        results.append(await upgrade(file))

    async with trio.open_nursery() as nursery:
        for _ in range(times):
            nursery.start_soon(ask)
        yield results


def workers(served: Served) -> list[int]:
    """Return the workers, without a process that tries the code out."""
    found = []
    for pid in children(served.pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [pid] if "--listen-fds" in psutil.Process(pid).cmdline() else []
    return found


def listens(pid: int) -> bool:
    found = psutil.Process(pid).net_connections("tcp")
    return any(each.status == psutil.CONN_LISTEN for each in found)


async def test_a_supervisor_that_cannot_be_replaced_stays_and_one_that_is_hears_of_its_end(
    write: Write, tmp_path: Path
) -> None:
    async with upgraded(write, tmp_path, 1) as (installed, served, file):
        folders = shared_folders(served.pid)
        assert len(folders) == 2
        async with loaded(served.port) as load:
            # What only a supervisor imports is broken: its workers are replaced all the same.
            installed.install("0.1.3")
            future = "from __future__ import annotations\n"
            module = "cli/serving/several.py"
            installed.replace(module, future, f"{future}import nothing_of_the_kind\n")
            done = await upgrade(file)
            assert (done.status, took_up(served)) == (0, []), done
            assert "version 0.1.3 serves" in done.out
            assert "stays as it was until a restart" in done.err
            assert "ModuleNotFoundError: No module named 'nothing_of_the_kind'" in done.err
            assert not load.lost, Counter(load.lost)

        # It is told to leave in the moment in which it becomes another program.
        installed.restore(module)
        installed.replace(*SLOW_SUPERVISOR)
        async with asked(file) as results:
            await until(lambda: b"takes up the code" in served.said, "that moment", PATIENCE)
            for _ in range(3):
                os.kill(served.pid, signal.SIGHUP)
            served.terminate()
            assert await served.exit_status(PATIENCE) == 0
        assert "has been upgraded" in results[0].out or "has ended" in results[0].err
    assert not [name for name in os.listdir(tmp_path) if name.startswith("gateway.pid")]
    assert not [folder for folder in folders if folder.exists()]


def took_up(served: Served) -> list[str]:
    """Return the versions that the supervisor has become."""
    found = re.findall(rb'"version":"([^"]+)","event":"the supervisor is another', served.said)
    return [each.decode() for each in found]


def shared_folders(pid: int) -> list[Path]:
    """Return the folders that the workers share, which the supervisor holds open."""
    open_ones = [Path(os.readlink(each)) for each in Path(f"/proc/{pid}/fd").iterdir()]
    return [each for each in open_ones if each.name.startswith("gateway-")]


async def all_there_but(served: Served, gone: int, count: int) -> None:
    await until(
        lambda: gone not in children(served.pid) and len(workers(served)) == count,
        "another in the place of one that was killed",
        PATIENCE,
    )
    await until(lambda: all(map(listens, workers(served))), "workers that serve", PATIENCE)


async def test_a_process_without_a_supervisor_says_that_it_needs_one(write: Write) -> None:
    async with serving(paced(0.1)) as provider:
        file = write(config(provider.port, server="drain_delay = 0"))
        async with spawned(GATEWAY, file) as served:
            done = await upgrade(file)
            assert done.status == 1
            assert "`--workers 1`" in done.err
            # Who signals it all the same does no harm.
            os.kill(served.pid, signal.SIGUSR2)
            await until(lambda: b"SIGUSR2 asks for an upgrade" in served.said, "a warning")
            assert (await get(served.port, "/health/ready")).status == 200
            served.terminate()
            assert await served.exit_status() == 0
