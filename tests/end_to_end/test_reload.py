"""Reloads while requests are under way: none is lost, and what was learned stays."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import h11
import pytest
import structlog.testing
import trio
import trio.testing

from gateway.config.reload_status import ReloadOutcome
from gateway.core.routing.breaker.states import BreakerState

from ..rounds import rounds
from .caller import Reply, ask, calling, generations, get
from .harness import GATEWAY, PATIENCE, QUIET, InProcess, children, config, in_process, spawned
from .provider import Asked, serving, speaking, until
from .wire import DONE, LAST_CHUNK, Script, event, framed, stream_head, whole

Write = Callable[[str], Path]

ADMIN = "sk-admin"
ADMINS = f'[[admins]]\nname = "root"\nkey = "{ADMIN}"\n'


class Reloading:
    """A gateway whose file can be changed."""

    def __init__(self, gateway: InProcess, write: Write) -> None:
        self.gateway = gateway
        self.port = gateway.port
        self._write = write

    async def to(self, text: str) -> ReloadOutcome:
        self._write(text + QUIET)
        with trio.fail_after(PATIENCE):
            return await self.gateway.application.reload("test")

    async def status(self) -> Any:
        reply = await get(self.port, "/admin/api/status", key=ADMIN)
        assert reply.status == 200, reply.body
        return reply.json


@contextlib.asynccontextmanager
async def reloading(text: str, write: Write) -> AsyncIterator[Reloading]:
    async with in_process(text, write(text + QUIET)) as gateway:
        yield Reloading(gateway, write)


async def post(port: int, target: str, key: str) -> Reply:
    async with calling(port) as caller:
        await caller.begin(0, key=key, target=target)
        await caller.stream.send_all(caller._send(h11.EndOfMessage()))
        return await caller.reply()


# What requests see...


async def test_a_stream_finishes_on_the_configuration_it_began_with(write: Write) -> None:
    script: Script = [
        (0.0, stream_head()),
        (0.0, framed(event({"content": "first"}))),
        (0.5, framed(event({"content": " last"}) + event({}, "stop") + DONE)),
        (0.0, LAST_CHUNK),
    ]
    async with (
        serving(script) as old,
        serving(speaking) as new,
        reloading(config(old.port), write) as served,
        calling(served.port) as caller,
    ):
        await caller.ask(stream=True)
        await caller.head()
        got = await caller.until(b"first")
        outcome = await served.to(config(new.port).replace('"m"', '"n"'))
        assert outcome.generation == 2
        assert outcome.changed == ("providers.p0.base_url", "models.m", "models.n")
        rest, complete = await caller.rest()
        assert complete
        assert (got + rest).endswith(DONE)
        assert b" last" in rest
        assert (await served.gateway.record()).end_reason == "complete"
        assert (await ask(served.port)).status == 404
        assert (await ask(served.port, model="n")).status == 200
        assert [len(old.asked), len(new.asked)] == [1, 1]


async def test_connections_of_a_removed_provider_are_closed(write: Write) -> None:
    async with serving(speaking) as gone, serving(speaking) as kept:
        slow: Script = [
            (0.0, stream_head()),
            (0.0, framed(event({"content": "first"}))),
            (0.6, framed(event({}, "stop") + DONE)),
            (0.0, LAST_CHUNK),
        ]
        text = config(gone.port, kept.port)
        async with reloading(text, write) as served, calling(served.port) as caller:
            assert (await ask(served.port)).status == 200
            gone.answer = lambda _: slow
            # One in use and one idle.
            await caller.ask(stream=True)
            await caller.head()
            await caller.until(b"first")
            async with calling(served.port) as other:
                gone.answer = speaking
                await other.ask()
                assert (await other.reply()).status == 200
            await gone.wait_open(2)
            without = config(kept.port)
            assert (await served.to(without)).reloaded
            await gone.wait_open(1)
            _, complete = await caller.rest()
            assert complete
            await gone.wait_open(0)
            assert (await ask(served.port)).status == 200
            assert len(kept.asked) == 1
            # And it can come back.
            assert (await served.to(text)).reloaded
            before = len(gone.asked)
            assert (await ask(served.port)).status == 200
            assert len(gone.asked) == before + 1


async def test_what_was_learned_outlives_a_reload(write: Write) -> None:
    def failing(asked: Asked) -> Script:
        return [(0.0, whole(500, b"{}"))]

    async with serving(failing) as bad, serving(speaking) as good:
        token = '[[tokens]]\nname = "t"\nkey = "sk-token"\nrpm = {rpm}\n'
        text = config(bad.port, good.port, tokens=ADMINS + token.format(rpm=6))
        async with reloading(text, write) as served:
            for _ in range(5):
                assert (await ask(served.port, key="sk-token")).status == 200
            before = await served.status()
            assert before["deployments"][0]["state"] == BreakerState.OPEN.value
            asked = len(bad.asked)
            changed = text.replace("sk-provider", "sk-other").replace("base = 0.01", "base = 0.03")
            assert (await served.to(changed)).reloaded
            after = await served.status()
            assert after["config"]["generation"] == 2
            assert after["deployments"][0]["state"] == BreakerState.OPEN.value
            for number, name in ((0, "attempts"), (0, "opens"), (1, "attempts")):
                assert after["deployments"][number][name] == before["deployments"][number][name]
            # Nobody asks the provider whose breaker is open; the new key is used at once.
            assert (await ask(served.port, key="sk-token")).status == 200
            assert len(bad.asked) == asked
            assert good.asked[-1].headers["authorization"] == "Bearer sk-other"
            # Six a minute were allowed, and have been used.
            assert (await ask(served.port, key="sk-token")).status == 429


async def test_health_checks_begin_and_end_with_their_configuration(write: Write) -> None:
    def answer(asked: Asked) -> Script:
        return [(0.0, whole(200, b"{}"))] if asked.method == "GET" else speaking(asked)

    async with serving(answer) as provider:
        text = config(provider.port)
        async with reloading(text, write) as served:
            assert provider.asked == []
            probing = config(provider.port, provider="probe = { interval = 0.1 }")
            assert (await served.to(probing)).reloaded
            assert (await provider.wait_asked(2)).target == "/v1/models"
            assert (await served.to(text)).reloaded
            await served.gateway.settled()
            asked = len(provider.asked)
            await trio.sleep(0.3)
            assert len(provider.asked) == asked


async def test_a_demo_provider_can_be_brought_in(write: Write) -> None:
    demo = '[providers.d]\nkind = "demo"\ntoken_interval = 0\n[[models]]\nname = "d"\n'
    demo += 'routes = [{ provider = "d", model = "demo" }]\n'
    async with serving(speaking) as provider:
        text = config(provider.port)
        async with reloading(text, write) as served:
            assert (await ask(served.port, model="d")).status == 404
            assert (await served.to(text + demo)).reloaded
            reply = await ask(served.port, model="d")
            assert (reply.status, reply.headers["x-gateway-provider"]) == (200, "d")
            assert (await served.to(text)).reloaded
            assert (await ask(served.port, model="d")).status == 404


async def test_tokens_come_and_go(write: Write) -> None:
    async with serving(speaking) as provider:

        def text(*keys: str, server: str = "") -> str:
            return config(
                provider.port,
                server=server,
                tokens="".join(f'[[tokens]]\nname = "{key}"\nkey = "{key}"\n' for key in keys),
            )

        async with reloading(text("sk-key-a"), write) as served, calling(served.port) as kept:
            assert (await kept.get("/v1/models", key="sk-key-b")).status == 401
            assert (await served.to(text("sk-key-b"))).reloaded
            # Also on a connection from before.
            for key, status in (("sk-key-a", 401), ("sk-key-b", 200)):
                assert (await kept.get("/v1/models", key=key)).status == status
            # A file that is cut in front of its tokens, and one that says what it means.
            refused = await served.to(text())
            assert not refused.reloaded
            (problem,) = refused.problems
            assert "[[tokens]]: there are none any more" in problem
            assert (await ask(served.port)).status == 401
            assert (await kept.get("/v1/models", key="sk-key-b")).status == 200
            with structlog.testing.capture_logs() as logs:
                assert (await served.to(text(server="open = true"))).reloaded
            assert any("no [[tokens]]" in line["event"] for line in logs)
            assert (await ask(served.port)).status == 200
            # From open to open there is nothing to refuse.
            assert (await served.to(text())).reloaded


async def test_no_beginning_of_a_file_opens_the_gateway(write: Write) -> None:
    async with serving(speaking) as provider:
        tokens = "".join(f'[[tokens]]\nname = "t{n}"\nkey = "sk-key-{n}"\n' for n in range(4))
        text = config(provider.port, tokens=tokens)
        async with reloading(text, write) as served:
            lines = text.splitlines(keepends=True)
            taken: list[int] = []
            for end in range(len(lines)):
                outcome = await served.to("".join(lines[:end]))
                assert (await ask(served.port)).status == 401, end
                if outcome.reloaded:
                    taken.append(end)
                    # What is left of the tokens: most of them are gone.
                    left = sum(line == "[[tokens]]\n" for line in lines[:end])
                    if left <= 2:
                        assert any("[[tokens]]: " in each for each in outcome.warnings), end
                    assert (await served.to(text)).reloaded
            assert taken


async def test_what_needs_a_restart_is_said_and_the_rest_is_applied(write: Write) -> None:
    async with serving(speaking) as provider:
        text = config(provider.port, tokens=ADMINS)
        async with reloading(text, write) as served:
            changed = text.replace("127.0.0.1:0", "127.0.0.1:1").replace('"m"', '"n"')
            outcome = await served.to(changed)
            assert (outcome.generation, outcome.needs_restart) == (2, ("server.bind",))
            assert outcome.changed == ("models.m", "models.n")
            status = await served.status()
            assert status["config"]["needs_restart"] == ["server.bind"]
            assert (await ask(served.port, model="n")).status == 200
            outcome = await served.to(text)
            assert (outcome.generation, outcome.needs_restart) == (3, ())
            assert (await served.status())["config"]["needs_restart"] == []


async def test_how_many_requests_a_connection_is_for_changes_for_new_ones(write: Write) -> None:
    async with serving(speaking) as provider:
        text = config(provider.port, server="max_requests_per_connection = 2")
        async with reloading(text, write) as served, calling(served.port) as old:
            assert "connection" not in (await old.get("/v1/models")).headers
            changed = text.replace("max_requests_per_connection = 2", "")
            assert (await served.to(changed)).reloaded
            async with calling(served.port) as new:
                for _ in range(3):
                    assert "connection" not in (await new.get("/v1/models")).headers
            # The one from before the reload is for two requests all the same.
            await old.ask()
            reply = await old.reply()
            assert (reply.status, reply.headers["connection"]) == (200, "close")
            assert await old.ended()


# Files with faults...


async def test_a_bad_file_changes_nothing_and_says_why(write: Write) -> None:
    async with serving(speaking) as provider:
        text = config(provider.port, tokens=ADMINS)
        async with reloading(text, write) as served:
            bad = text.replace('"m"', '"n"').replace("[retry]", "[rtry]") + "[lgo]\n"
            with structlog.testing.capture_logs() as logs:
                outcome = await served.to(bad)
            assert not outcome.reloaded
            assert len(outcome.problems) == 2
            assert "did you mean 'retry'?" in outcome.problems[0]
            assert "did you mean 'log'?" in outcome.problems[1]
            (error,) = [line for line in logs if line["log_level"] == "error"]
            assert error["problems"] == list(outcome.problems)
            assert (await ask(served.port)).status == 200
            assert (await ask(served.port, model="n")).status == 404
            standing = (await served.status())["config"]
            assert standing["generation"] == 1
            assert standing["last_error"]["problems"] == list(outcome.problems)
            reply = await post(served.port, "/admin/api/reload", ADMIN)
            assert reply.status == 422
            assert reply.error["problems"] == list(outcome.problems)

            write(text.replace('"m"', '"n"') + QUIET)
            reply = await post(served.port, "/admin/api/reload", ADMIN)
            assert (reply.status, reply.json["generation"]) == (200, 2)
            assert (await served.status())["config"]["last_error"] is None
            assert (await ask(served.port, model="n")).status == 200


# Under load...


class Load:
    """Callers that ask for the model `m` as fast as they can, streams and others in turn."""

    def __init__(self, port: int) -> None:
        self.answered = 0
        self.failures: list[str] = []
        self._port = port

    async def run(self, stream: bool) -> None:
        async with calling(self._port) as caller:
            while True:
                await caller.ask(stream=stream)
                reply = await caller.reply()
                if reply.status != 200 or not reply.complete:
                    self.failures.append(f"{reply.status} {reply.body[-300:]!r}")
                if stream and not reply.body.endswith(DONE):
                    self.failures.append(f"ended with {reply.body[-300:]!r}")
                self.answered += 1


@contextlib.asynccontextmanager
async def loaded(port: int) -> AsyncIterator[Load]:
    load = Load(port)
    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(load.run, number % 2 == 0)
        yield load
        nursery.cancel_scope.cancel()


@pytest.mark.soak
async def test_many_reloads_under_load_fail_no_request(write: Write) -> None:
    reloads = rounds(80, 1000)
    async with serving(speaking) as first, serving(speaking) as second:
        texts = [config(first.port), config(second.port, first.port)]
        began = trio.current_time()
        async with reloading(texts[0], write) as served:
            async with loaded(served.port) as load:
                number = 0
                # On a busy machine the callers need more than the least number of reloads.
                while number < reloads or not (
                    load.answered > 100 and len(first.asked) > 20 and len(second.asked) > 20
                ):
                    outcome = await served.to(texts[(number + 1) % 2])
                    number += 1
                    assert (outcome.generation, outcome.problems) == (number + 1, ())
                answered = load.answered
            assert load.failures == []
            assert answered > 100
            # Requests went wherever the configuration of their moment sent them.
            assert min(len(first.asked), len(second.asked)) > 20
            assert trio.current_time() - began < 0.75 * number
            await served.gateway.settled()
            text = texts[0] + ADMINS
            assert (await served.to(text)).reloaded
            assert [each["name"] for each in (await served.status())["deployments"]] == [
                "p0/real-model"
            ]


async def test_bad_files_under_load_fail_no_request(write: Write) -> None:
    async with serving(speaking) as provider:
        text = config(provider.port)
        async with reloading(text, write) as served:
            async with loaded(served.port) as load:
                for bad in ("[server", text + "[lgo]\n", text.replace('"p0"', '"p9"'), "") * 10:
                    assert not (await served.to(bad)).reloaded
                await until(lambda: load.answered >= 100, "100 answers", PATIENCE)
            assert load.failures == []
            assert served.gateway.application.reload_status.generation == 1


async def test_asking_again_and_again_is_one_more_reload(write: Write) -> None:
    async with serving(speaking) as provider:
        text = config(provider.port)
        async with reloading(text, write) as served:
            outcomes: list[ReloadOutcome] = []

            async def reload() -> None:
                outcomes.append(await served.gateway.application.reload("test"))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(reload)
                await trio.testing.wait_all_tasks_blocked()
                for _ in range(50):
                    nursery.start_soon(reload)
            assert sorted({outcome.generation for outcome in outcomes}) == [2, 3]


# Several workers...


@pytest.mark.slow
async def test_a_reload_at_one_worker_reaches_all(write: Write) -> None:
    async with serving(speaking) as provider:
        text = config(provider.port, server="drain_delay = 0", tokens=ADMINS)
        file = write(text)
        async with spawned([*GATEWAY, "--workers", "2"], file) as served:
            workers = set(children(served.pid))
            with trio.fail_after(PATIENCE):
                while set(await generations(served.port, ADMIN)) != workers:
                    pass
            file.write_text(text.replace('"m"', '"n"'))
            reply = await post(served.port, "/admin/api/reload", ADMIN)
            assert (reply.status, reply.json["reloaded"]) == (200, True), reply.body
            with trio.fail_after(PATIENCE):
                while (found := await generations(served.port, ADMIN)).keys() != workers or 1 in {
                    *found.values()
                }:
                    pass
            for _ in range(12):
                assert (await ask(served.port, model="n")).status == 200
            assert set(children(served.pid)) == workers
            # A file with faults is not passed on.
            file.write_text("[server\n")
            assert (await post(served.port, "/admin/api/reload", ADMIN)).status == 422
            served.terminate()
            assert await served.exit_status() == 0
    assert served.said.count(b"not valid TOML") == 1
