"""Gateways on two hosts, and workers of one: each shows all, and acts on all."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from ..fork_server import popen
from ..rounds import SOAK
from ..valkey import ValkeyServer
from .caller import Reply, calling, get
from .harness import GATEWAY, Served, config, spawned
from .provider import serving
from .store import ADMIN, ADMINS, Kept, eventually
from .test_in_flight import SECOND, TOKEN, stuck

pytestmark = pytest.mark.slow

Write = Callable[[str], Path]
KEY = "sk-app-of-the-tests"
# "Within seconds": after the last sign of life, and how often a look is taken, on a busy machine.
GONE = 25.0


async def status(served: Served) -> dict[str, Any]:
    reply = await get(served.port, "/admin/api/status", key=ADMIN)
    assert reply.status == 200, reply.body
    found: dict[str, Any] = reply.json
    return found


async def hosts(served: Served) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in (await status(served))["hosts"]}


async def act(served: Served, path: str, body: bytes = b"") -> Reply:
    async with calling(served.port) as caller:
        await caller.post(body, key=ADMIN, target=f"/admin/api/{path}")
        return await caller.reply()


async def readiness(served: Served) -> tuple[int, str]:
    reply = await get(served.port, "/health/ready")
    return reply.status, reply.json["status"]


async def until_ready(served: Served, wanted: tuple[int, str], seconds: float = 1.5) -> None:
    """Wait until it is as ready as wanted; the machine may be busy, the order takes a second."""
    began = time.monotonic()

    async def is_so() -> bool:
        return await readiness(served) == wanted

    await eventually(is_so, f"{wanted}")
    assert time.monotonic() - began < seconds + 3


class TwoHosts:
    """Two gateways, on hosts `a` and `b`, by one configuration."""

    def __init__(self, a: Served, b: Served, source: str, file: Path) -> None:
        self.a, self.b, self.source, self.file = a, b, source, file


@pytest.fixture(params=["valkey", "postgresql"])
def shared(request: pytest.FixtureRequest) -> tuple[str, str, str]:
    """By what two hosts know each other: `[store]`, further tables, and what the status says."""
    if request.param == "valkey":
        server: ValkeyServer = request.getfixturevalue("valkey")
        return 'url = ""', f'[state]\nurl = "{server.url}"\ntimeout = 2.0\n', "state"
    kept: Kept = request.getfixturevalue("on_postgresql")
    return kept.store, "", "database"


@pytest.fixture
def silent_for_longer(
    request: pytest.FixtureRequest, shared: tuple[str, str, str]
) -> Callable[[str, int], object]:
    """What has a process have been silent for so many seconds longer; in a soak they pass."""
    if SOAK:
        return lambda process, seconds: None
    if shared[2] == "state":
        server: ValkeyServer = request.getfixturevalue("valkey")
        return lambda process, seconds: server.command(
            "ZINCRBY", "{gateway}:processes:s", str(-seconds), process
        )
    kept: Kept = request.getfixturevalue("on_postgresql")
    return lambda process, seconds: kept.execute(
        f"UPDATE processes SET seen = seen - {seconds * 1_000_000} WHERE id = '{process}'"  # noqa: S608  # ours
    )


@asynccontextmanager
async def two_hosts(
    write: Write, shared: tuple[str, str, str], port: int
) -> AsyncIterator[TwoHosts]:
    store, tables, source = shared
    file = write(config(port, tokens=f"{ADMINS}{TOKEN}", store=store) + tables)
    async with (
        spawned(GATEWAY, file, GATEWAY_HOST="a") as a,
        spawned(GATEWAY, file, GATEWAY_HOST="b") as b,
    ):

        async def known() -> bool:
            found = await hosts(a)
            return {*found} == {"a", "b"} == {*await hosts(b)}

        await eventually(known, "two hosts that know each other")
        yield TwoHosts(a, b, source, file)


async def test_either_host_shows_both_and_acts_on_both(
    write: Write, shared: tuple[str, str, str], silent_for_longer: Callable[[str, int], object]
) -> None:
    async with serving(stuck) as provider, two_hosts(write, shared, provider.port) as pair:
        a, b = pair.a, pair.b
        async with calling(b.port) as streaming:
            await streaming.ask(key=KEY, stream=True)
            assert await streaming.head() == 200
            await streaming.until(SECOND)

            async def seen() -> bool:
                return bool((await hosts(a))["b"]["in_flight"] == 1)

            await eventually(seen, "the stream of the other host")
            found = await status(a)
            assert found["hosts_from"] == pair.source
            (process,) = next(each for each in found["hosts"] if each["name"] == "b")["processes"]
            assert (process["pid"], process["alive"], process["drained"]) == (b.pid, True, None)
            said = process["state"]
            assert said["phase"] == "running"
            assert said["config"]["generation"] == 1
            assert said["limits"] == ("shared" if pair.source == "state" else "own")
            assert said["loop_lag_ms"] >= 0
            assert said["load"] >= 0
            # By name, the host is taken out; what is under way in it goes on.
            reply = await act(a, "hosts/b/drain", b'{"for": 600, "reason": "a new kernel"}')
            assert reply.status == 200, reply.body
            assert reply.json["host"]["drained"]["reason"] == "a new kernel"
            await until_ready(b, (503, "drained"))
            assert await readiness(a) == (200, "ready")
            assert (await hosts(a))["b"]["processes"][0]["drained"]["by"] == "root"
            served = await get(b.port, "/v1/models", key=KEY)
            assert (served.status, served.headers["connection"]) == (200, "close")
            assert (await act(a, "hosts/b/enable")).status == 200
            await until_ready(b, (200, "ready"))
            # The same for one process, by its id; from the other side.
            reply = await act(b, f"processes/{process['id']}/drain")
            assert reply.json["process"]["drained"]["reason"] is None
            await until_ready(b, (503, "drained"))
            assert (await act(a, f"processes/{process['id']}/enable")).status == 200
            await until_ready(b, (200, "ready"))
            assert (await act(a, "hosts/none/drain")).status == 404
            assert (await act(a, "processes/none/drain")).status == 404
            assert (await act(a, "hosts/b/drain", b'{"for": 0}')).status == 400
            # Whoever has the id of a request cancels it from anywhere.
            request_id = streaming.headers["x-request-id"]

            async def listed() -> bool:
                found = (await get(a.port, "/admin/api/in-flight", key=ADMIN)).json
                rows = [(each["request_id"], each["host"], each["pid"]) for each in found["rows"]]
                return bool(rows == [(request_id, "b", b.pid)] and found["total"] == 1)

            # As it has said within two seconds; those that asked are none of it.
            await eventually(listed, "the request of the other host")
            reply = await act(a, f"in-flight/{request_id}/cancel")
            assert (reply.status, reply.json["others_asked"]) == (202, True)
            with trio.fail_after(30):
                rest, _ = await streaming.rest()
            assert b"cancelled_by_operator" in rest
        # Who leaves in order is gone at once, who is killed within seconds.
        b.process.kill()
        await b.process.wait()
        began = time.monotonic()
        silent_for_longer(process["id"], 4)

        async def silent() -> bool:
            found = await hosts(a)
            return "b" not in found or not found["b"]["alive"]

        async def gone() -> bool:
            return {*await hosts(a)} == {"a"}

        await eventually(silent, "silence of the host that was killed")
        silent_for_longer(process["id"], 9)
        await eventually(gone, "the end of the host that was killed")
        assert time.monotonic() - began < GONE


async def test_a_command_sees_and_acts_on_all(write: Write, shared: tuple[str, str, str]) -> None:
    async with serving(stuck) as provider, two_hosts(write, shared, provider.port) as pair:

        async def run(*words: str) -> str:
            done = await trio.to_thread.run_sync(
                lambda: popen.run(
                    [*GATEWAY[:-1], *words, "--config", str(pair.file)],
                    capture_output=True,
                    text=True,
                    check=False,
                )
            )
            assert done.returncode == 0, done.stderr
            return str(done.stdout + done.stderr)

        shown = await run("status")
        lines = shown.splitlines()
        assert lines[0].split()[:2] == ["HOST", "PROCESS"]
        assert [line.split()[:3] for line in lines[1:]] == [
            ["a", str(pair.a.pid), "running"],
            ["b", str(pair.b.pid), "running"],
        ]
        assert "is drained" in await run("processes", "drain", f"b/{pair.b.pid}")
        await until_ready(pair.b, (503, "drained"))
        assert "drained" in await run("status")
        assert "in service again" in await run("processes", "enable", f"b/{pair.b.pid}")
        await until_ready(pair.b, (200, "ready"))
        assert "so already" in await run("processes", "enable", "a")
        async with calling(pair.b.port) as streaming:
            await streaming.ask(key=KEY, stream=True)
            await provider.wait_asked(1)
            found = await get(pair.b.port, "/admin/api/in-flight", key=ADMIN)
            (row,) = found.json["rows"]
            assert (row["host"], row["pid"]) == ("b", pair.b.pid)

            async def shown_under_way() -> bool:
                return row["request_id"] in await run("status", "--in-flight")

            await eventually(shown_under_way, "the request in what a command shows")
            (line,) = (await run("status", "--in-flight")).splitlines()[1:]
            assert line.split()[:2] == ["b", str(pair.b.pid)]
            assert "client_ip" not in await run("status", "--json")
            await run("cancel", row["request_id"])
            with trio.fail_after(30):
                await streaming.head()
                rest, _ = await streaming.rest()
            assert b"cancelled" in rest


async def test_a_reload_reaches_the_other_host(write: Write, shared: tuple[str, str, str]) -> None:
    async with serving(stuck) as provider, two_hosts(write, shared, provider.port) as pair:

        async def generations() -> dict[str, int]:
            return {
                name: host["processes"][0]["state"]["config"]["generation"]
                for name, host in (await hosts(pair.b)).items()
            }

        assert await generations() == {"a": 1, "b": 1}
        # Whether it does the next is told by what it said within the last two seconds.
        assert (await act(pair.a, "reload")).status == 200

        async def both() -> bool:
            return await generations() == {"a": 2, "b": 2}

        await eventually(both, "the same generation on both hosts")
        # Nobody is told of what he was told, or has told.
        await trio.sleep(3)
        assert await generations() == {"a": 2, "b": 2}
        text = pair.file.read_text()
        pair.file.write_text(text + "nonsense = ")
        assert (await act(pair.a, "reload")).status == 422
        pair.file.write_text(text)
        await trio.sleep(1)
        assert await generations() == {"a": 2, "b": 2}


@pytest.mark.measured
async def test_leaders_are_shown_and_replaced(write: Write, on_postgresql: Kept) -> None:
    shared = on_postgresql.store, "", "database"
    async with serving(stuck) as provider, two_hosts(write, shared, provider.port) as pair:

        async def leaders() -> dict[str, str]:
            return {
                job: process["host"]
                for host in (await hosts(pair.a)).values()
                for process in host["processes"]
                if process["alive"]
                for job in process["state"]["leads"]
            }

        async def all_led() -> bool:
            return {*await leaders()} == {"retention", "reconciler"}

        await eventually(all_led, "leaders of all jobs")
        before = await leaders()
        assert before == dict.fromkeys(before, "a")
        pair.b.process.kill()
        # The one that leads is the other: end it, and start another one.
        async with spawned(GATEWAY, pair.file, GATEWAY_HOST="c") as c:
            pair.a.process.kill()

            async def taken_over() -> bool:
                (own,) = (await hosts(c))["c"]["processes"]
                return sorted(own["state"]["leads"]) == ["reconciler", "retention"]

            began = time.monotonic()
            await eventually(taken_over, "the leaders' successor")
            assert time.monotonic() - began < 8


@pytest.mark.measured
async def test_a_key_that_a_command_revokes_is_refused_at_once(
    write: Write, on_postgresql: Kept
) -> None:
    """PostgreSQL tells all processes: nobody waits for the next look."""
    shared = on_postgresql.store, "", "database"
    async with serving(stuck) as provider, two_hosts(write, shared, provider.port) as pair:
        made = await act(pair.a, "keys", b'{"name": "k"}')
        assert made.status == 201, made.body
        secret = made.json["secret"]

        async def known() -> bool:
            found = await get(pair.b.port, "/v1/models", key=secret)
            return found.status == 200

        await eventually(known, "the key")
        waits = []
        for verb, wanted in (("disable", 401), ("enable", 200)) * 4:
            async with calling(pair.a.port) as caller:
                await caller.post(
                    b"", key=ADMIN, target=f"/admin/api/keys/k/{verb}", headers=[("if-match", "*")]
                )
                assert (await caller.reply()).status == 200
            began = time.monotonic()
            while (await get(pair.b.port, "/v1/models", key=secret)).status not in (wanted, 403):
                await trio.sleep(0.005)
                assert time.monotonic() - began < 5
            waits.append(time.monotonic() - began)
        # A look every 0.8 s would take 0.4 s on average.
        assert sorted(waits)[len(waits) // 2] < 0.2, waits


async def test_workers_are_drained_through_their_supervisor(write: Write) -> None:
    """Nothing is kept, and there is no server: those of one host know each other all the same."""
    async with serving(stuck) as provider:
        file = write(config(provider.port, tokens=f"{ADMINS}{TOKEN}"))
        async with spawned((*GATEWAY, "--workers", "2"), file, GATEWAY_HOST="here") as served:

            async def both() -> bool:
                return len((await hosts(served))["here"]["processes"]) == 2

            await eventually(both, "two workers")
            assert (await status(served))["hosts_from"] == "supervisor"
            assert (await act(served, "hosts/here/drain")).status == 200
            for _ in range(6):
                assert await readiness(served) == (503, "drained")
            assert (await hosts(served))["here"]["drained"] is not None
            assert (await act(served, "hosts/here/enable")).status == 200
            for _ in range(6):
                assert await readiness(served) == (200, "ready")


async def test_one_worker_is_drained_and_the_others_take_what_is_new(write: Write) -> None:
    async with serving(stuck) as provider:
        file = write(config(provider.port, tokens=f"{ADMINS}{TOKEN}"))
        async with spawned((*GATEWAY, "--workers", "2"), file, GATEWAY_HOST="here") as served:

            async def both() -> bool:
                return len((await hosts(served))["here"]["processes"]) == 2

            await eventually(both, "two workers")
            first, second = (await hosts(served))["here"]["processes"]

            async def answering(many: int) -> set[int]:
                """Return the processes that have so many new streams."""
                async with contextlib.AsyncExitStack() as stack:
                    for _ in range(many):
                        caller = await stack.enter_async_context(calling(served.port))
                        await caller.ask(key=KEY, stream=True)
                        assert await caller.head() == 200
                    rows = (await get(served.port, "/admin/api/in-flight", key=ADMIN)).json["rows"]
                    assert len(rows) == many
                    return {row["pid"] for row in rows}

            # One that is under way there goes on to its end.
            assert (await act(served, f"processes/{first['id']}/drain")).status == 200

            async def left_alone() -> bool:
                return await answering(8) == {second["pid"]}

            await eventually(left_alone, "new connections at the other worker only")
            # The address is in service, and it is shown who is not.
            for _ in range(6):
                assert await readiness(served) == (200, "ready")
            found = (await hosts(served))["here"]
            assert found["drained"] is None
            assert {each["pid"]: each["state"]["phase"] for each in found["processes"]} == {
                first["pid"]: "drained",
                second["pid"]: "running",
            }
            # If no other is in service it goes on taking what comes, and says so.
            assert (await act(served, f"processes/{second['id']}/drain")).status == 200
            await until_ready(served, (503, "drained"), 6)
            assert (await get(served.port, "/v1/models", key=KEY)).status == 200
            assert "accepts all the same" in served.said.decode()
            for each in (first, second):
                assert (await act(served, f"processes/{each['id']}/enable")).status == 200
            await until_ready(served, (200, "ready"), 6)

            async def shared_again() -> bool:
                return await answering(12) == {first["pid"], second["pid"]}

            await eventually(shared_again, "new connections at both workers")
