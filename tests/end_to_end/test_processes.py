"""Gateways as processes: started as a person starts them, ended as an operator ends them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest
import trio

from gateway.config.sources.shipped import SHIPPED

from ..fork_server import popen
from .caller import Reply, ask, calling, chat_body, get
from .harness import (
    EXECUTED,
    GATEWAY,
    HYPERCORN,
    PATIENCE,
    ROOT,
    Served,
    children,
    config,
    spawned,
    starting,
)
from .provider import Asked, serving, speaking, until
from .sdk import chat, run_sdk
from .wire import DONE, LAST_CHUNK, STALL, Script, event, framed, stream_head

pytestmark = pytest.mark.slow

Write = Callable[[str], Path]


def slow_stream(seconds: float) -> Script:
    """Return the script of a stream that pauses in its middle."""
    end = framed(event({"content": " last"}) + event({}, "stop") + DONE)
    return [
        (0.0, stream_head()),
        (0.0, framed(event({"content": "first"}))),
        (seconds, end),
        (0.0, LAST_CHUNK),
    ]


def records_of(served: Served) -> list[dict[str, object]]:
    return [json.loads(line) for line in served.lines.splitlines()]


async def refuses_connections(port: int) -> None:
    """Wait until nobody listens on `port` any more."""
    with trio.fail_after(PATIENCE):
        while True:
            try:
                stream = await trio.open_tcp_stream("127.0.0.1", port)
            except OSError:
                return
            await stream.aclose()
            await trio.sleep(0.05)


@pytest.mark.parametrize("command", [GATEWAY, HYPERCORN], ids=["gateway-serve", "hypercorn-cli"])
async def test_sigterm_lets_a_stream_finish(command: Sequence[str], write: Write) -> None:
    async with serving(slow_stream(2.0)) as provider:
        file = write(config(provider.port, server="drain_delay = 0.5"))
        async with spawned(command, file) as served, calling(served.port) as caller:
            await caller.ask(stream=True)
            await caller.head()
            begun = await caller.until(b"first")
            served.terminate()
            if command is GATEWAY:
                # Within the drain delay new requests are still answered, and told to move on.
                await until_not_ready(served.port)
            await refuses_connections(served.port)
            with trio.fail_after(PATIENCE):
                rest, complete = await caller.rest()
            assert await served.exit_status() == 0
    assert complete
    assert (begun + rest).endswith(DONE)
    assert b" last" in rest
    assert [record["end_reason"] for record in records_of(served)] == ["complete"]


async def until_not_ready(port: int) -> None:
    with trio.fail_after(PATIENCE):
        while True:
            reply = await get(port, "/health/ready")
            if reply.status != 200:
                break
            await trio.sleep(0.01)
    assert reply.status == 503
    assert reply.json == {"status": "draining"}
    assert reply.headers["connection"] == "close"


async def test_drain_that_takes_too_long_ends_streams_with_an_event(write: Write) -> None:
    script: Script = [
        (0.0, stream_head()),
        (0.0, framed(event({"content": "first"}))),
        (0.0, STALL),
    ]
    async with serving(script) as provider:
        file = write(config(provider.port, server="drain_delay = 0\ndrain_timeout = 0.5"))
        async with (
            spawned(GATEWAY, file) as served,
            calling(served.port) as streaming,
            calling(served.port) as waiting,
        ):
            await streaming.ask(stream=True)
            await streaming.head()
            got = await streaming.until(b"first")
            await waiting.ask(stream=False)
            await provider.wait_asked(2)
            served.terminate()
            rest, complete = await streaming.rest()
            reply = await waiting.reply()
            assert await served.exit_status() == 0
            await provider.wait_open(0)
    assert not complete
    last = (got + rest).split(b"\n\n")[-2]
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "server_shutting_down"
    assert b"[DONE]" not in rest
    # The provider had answered with the head of a stream, which is no answer to this one: what
    # counts is that the caller hears of it, as a retryable error.
    assert reply.status == 503
    assert reply.error["code"] == "server_shutting_down"
    assert "retry-after" in reply.headers
    reasons = sorted(str(record["end_reason"]) for record in records_of(served))
    assert reasons == ["server_shutting_down"] * 2


async def test_second_sigterm_ends_streams_at_once(write: Write) -> None:
    script: Script = [
        (0.0, stream_head()),
        (0.0, framed(event({"content": "first"}))),
        (0.0, STALL),
    ]
    async with serving(script) as provider:
        file = write(config(provider.port, server="drain_delay = 60"))
        async with spawned(GATEWAY, file) as served, calling(served.port) as caller:
            await caller.ask(stream=True)
            await caller.head()
            await caller.until(b"first")
            served.terminate()
            await until_not_ready(served.port)
            served.terminate()
            rest, complete = await caller.rest()
            assert await served.exit_status() == 0
    assert not complete
    assert b"server_shutting_down" in rest


async def test_idle_gateway_leaves_at_once(write: Write) -> None:
    async with serving(speaking) as provider:
        file = write(config(provider.port, server="drain_delay = 0"))
        async with spawned(EXECUTED, file) as served, calling(served.port) as idle:
            # An open connection that nobody uses must not hold up the exit.
            assert (await idle.get("/health/live")).status == 200
            served.terminate()
            assert await served.exit_status() == 0
            await idle.ended()
    assert b"Traceback" not in served.said


async def test_hypercorn_cli_serves_both_forms_writes_records_and_leaves_at_once(
    write: Write,
) -> None:
    async with serving(speaking) as provider:
        file = write(config(provider.port, server="drain_delay = 0"))
        async with spawned(HYPERCORN, file) as served, calling(served.port) as idle:
            whole = await ask(served.port)
            stream = await ask(served.port, stream=True)
            assert (await idle.get("/health/live")).status == 200
            served.terminate()
            assert await served.exit_status() == 0
            await idle.ended()
    assert b"Traceback" not in served.said
    assert whole.json["choices"][0]["message"]["content"] == "Hello there."
    assert stream.complete
    assert stream.body.endswith(DONE)
    assert [record["stream"] for record in records_of(served)] == [False, True]


async def test_demo_answers_out_of_the_box(write: Write) -> None:
    shipped = SHIPPED.read_text()
    assert '"127.0.0.1:8080"' in shipped
    file = write(shipped.replace('"127.0.0.1:8080"', '"127.0.0.1:0"'))
    async with spawned(EXECUTED, file) as served:
        models = await get(served.port, "/v1/models")
        assert [model["id"] for model in models.json["data"]] == ["demo"]
        stream = await ask(served.port, model="demo", stream=True, max_tokens=5)
        whole, counted = await run_sdk(
            "3",
            served.url,
            [
                chat(model="demo"),
                chat(model="demo", stream=True, stream_options={"include_usage": True}),
            ],
        )
        served.process.send_signal(signal.SIGINT)
        assert await served.exit_status() == 0
    said = whole["answer"]["choices"][0]["message"]["content"]
    assert "demo provider" in said
    assert whole["answer"]["model"] == "demo"
    *chunks, last = counted["chunks"]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == said
    assert last["usage"]["completion_tokens"] == whole["answer"]["usage"]["completion_tokens"]
    assert stream.complete
    assert stream.events[-1] == b"data: [DONE]"
    assert b'"usage":{' not in stream.body
    costs = [record["cost_nano_usd"] for record in records_of(served)]
    assert all(isinstance(cost, int) and cost > 0 for cost in costs)
    # The one line that a person needs is a command that works.
    announced = served.said.decode()
    assert f"http://127.0.0.1:{served.port}/v1" in announced
    assert "curl -N" in announced


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[server]\nbnd = 1\n", "[server] bnd: unknown key; did you mean 'bind'?"),
        ("[server\n", "not valid TOML"),
        (config(1).replace('"p0"', '"p9"'), "there is no [providers.p9]"),
    ],
    ids=["unknown-key", "not-toml", "unknown-provider"],
)
async def test_invalid_configuration_is_refused(text: str, problem: str, write: Write) -> None:
    file = write(text)
    async with starting(GATEWAY, file) as served:
        assert await served.exit_status() == 1
        await until(lambda: problem.encode() in served.said, f"{problem} in {served.said!r}")
    said = served.said.decode()
    assert all(line.startswith("error: ") for line in said.splitlines()), said


async def test_hypercorn_cli_refuses_an_invalid_configuration(write: Write) -> None:
    file = write("[server]\nbnd = 1\n")
    async with starting(HYPERCORN, file) as served:
        # With which status is Hypercorn's to say, and 0.18 forgets that of its workers.
        await served.exit_status()
        await until(lambda: b"did you mean 'bind'?" in served.said, "the problem on stderr")


async def test_port_in_use_is_said_in_one_line(write: Write) -> None:
    async with serving(speaking) as provider:
        file = write(config(provider.port).replace("127.0.0.1:0", f"127.0.0.1:{provider.port}"))
        # Else there is a note about the key in it.
        file.chmod(0o600)
        async with starting(EXECUTED, file) as served:
            assert await served.exit_status() == 1
            await until(lambda: b"in use" in served.said, "the reason on stderr")
    assert served.said.count(b"\n") == 1


# Several workers...


def seen_pids(pids: Sequence[int], port: int) -> set[int]:
    """Return which of `pids` have a connection of a client's on `port`."""
    return {
        pid
        for pid in pids
        for each in psutil.Process(pid).net_connections("tcp")
        if each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port
    }


async def all_serve(workers: Sequence[int], port: int) -> None:
    """Wait until each of `workers` has been seen to serve."""
    seen: set[int] = set()
    async with trio.open_nursery() as nursery:

        async def stay() -> None:
            async with calling(port) as caller:
                reply = await caller.get("/health/ready")
                assert (reply.status, reply.complete) == (200, True)
                await trio.sleep_forever()

        # The kernel wakes whom it likes; in a crowd all get their turn.
        with trio.fail_after(PATIENCE):
            while seen != set(workers):
                for _ in range(8):
                    nursery.start_soon(stay)
                await trio.sleep(0.1)
                seen |= seen_pids(workers, port)
        nursery.cancel_scope.cancel()


async def test_two_workers_both_serve_and_leave_together(write: Write) -> None:
    async with serving(speaking) as provider:
        file = write(config(provider.port, server="drain_delay = 0"))
        async with spawned([*GATEWAY, "--workers", "2"], file) as served:
            workers = children(served.pid)
            assert len(workers) == 2
            await all_serve(workers, served.port)
            served.terminate()
            assert await served.exit_status() == 0
            assert not any(psutil.pid_exists(pid) for pid in workers)
    assert b"Traceback" not in served.said


async def test_killed_worker_is_replaced_while_the_other_serves(write: Write) -> None:
    failures: list[str] = []
    answered = 0

    async def load(port: int) -> None:
        nonlocal answered
        while True:
            try:
                reply: Reply = await ask(port, stream=True)
            except (OSError, trio.BrokenResourceError, AssertionError) as error:
                failures.append(repr(error))
                continue
            except Exception as error:  # noqa: BLE001  # h11's, of an answer cut off
                failures.append(repr(error))
                continue
            if reply.complete:
                answered += 1
            else:
                failures.append("incomplete")

    async with serving(speaking) as provider:
        file = write(config(provider.port, server="drain_delay = 0"))
        async with spawned([*GATEWAY, "--workers", "2"], file) as served:
            victim, other = children(served.pid)
            async with trio.open_nursery() as nursery:
                for _ in range(4):
                    nursery.start_soon(load, served.port)
                await until(lambda: answered >= 50, "50 answers", PATIENCE)
                os.kill(victim, signal.SIGKILL)
                after = answered
                await until(lambda: answered >= after + 100, "100 more answers", PATIENCE)
                await until(lambda: len(children(served.pid)) == 2, "a new worker", PATIENCE)
                nursery.cancel_scope.cancel()
            crew = children(served.pid)
            assert other in crew
            assert victim not in crew
            # Only what the victim had in hand is lost: one request of each caller at most.
            assert len(failures) <= 4, failures
            served.terminate()
            assert await served.exit_status() == 0


async def test_a_half_written_file_does_not_open_a_worker_that_is_started_again(
    write: Write,
) -> None:
    async with serving(speaking) as provider:
        token = '[[tokens]]\nname = "a"\nkey = "sk-key-a"\n'
        text = config(provider.port, server="drain_delay = 0", tokens=token)
        file = write(text)
        async with spawned([*GATEWAY, "--workers", "2"], file) as served:
            victim, other = workers = children(served.pid)
            # One that still starts would read the file below, and refuse it as well.
            await all_serve(workers, served.port)
            file.write_text(text.replace(token, ""))
            os.kill(victim, signal.SIGKILL)
            await until(
                lambda: "there are none any more" in served.said.decode(), "a refusal", PATIENCE
            )
            for _ in range(20):
                assert (await ask(served.port)).status == 401
            file.write_text(text)
            await until(lambda: len(children(served.pid)) == 2, "a new worker", PATIENCE)
            assert other in children(served.pid)
            served.terminate()
            assert await served.exit_status() == 0


async def test_workers_leave_when_their_supervisor_is_killed(write: Write) -> None:
    async with serving(speaking) as provider:
        file = write(config(provider.port, server="drain_delay = 0"))
        async with spawned([*GATEWAY, "--workers", "2"], file) as served:
            workers = children(served.pid)
            os.kill(served.pid, signal.SIGKILL)

            def alive() -> bool:
                return any(
                    psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
                    for pid in workers
                )

            await until(lambda: not alive(), "workers that left", PATIENCE)
            await refuses_connections(served.port)


# Memory...


@pytest.mark.measured
async def test_stalled_readers_cost_a_bounded_amount_of_memory(write: Write) -> None:
    block = b"".join(event({"content": "x" * 1000}) for _ in range(800))
    readers = 8

    def flood(asked: Asked) -> Script:
        return [(0.0, stream_head()), *[(0.0, framed(block))] * 64]

    def resident(served: Served) -> int:
        return int(psutil.Process(served.pid).memory_info().rss)

    async with serving(speaking, flood) as provider:
        file = write(config(provider.port, server="send_timeout = 30"))
        async with spawned(GATEWAY, file) as served:
            await ask(served.port)
            before = resident(served)
            async with trio.open_nursery() as nursery:

                async def stall() -> None:
                    async with calling(served.port, receive_buffer=65536) as caller:
                        await caller.post(chat_body(stream=True))
                        await trio.sleep_forever()

                for _ in range(readers):
                    nursery.start_soon(stall)
                await provider.wait_asked(1 + readers)
                last = -1
                with trio.fail_after(PATIENCE):
                    while last != (sent := sum(asked.sent for asked in provider.asked)):
                        last = sent
                        await trio.sleep(0.4)
                grown = resident(served) - before
                nursery.cancel_scope.cancel()
            # The callers have left, so their providers are let go.
            flooded = provider.asked[1:]
            await until(
                lambda: all(asked.peer_left.is_set() for asked in flooded), "providers let go"
            )
    # 256 KiB for each, and as much again for what an allocator needs around them.
    assert grown < readers * 512 * 1024 + 8 * 1024 * 1024, f"{grown / 1024 / 1024:.1f} MiB"
    assert all(asked.sent < 64 * len(block) for asked in flooded)


def test_command_line_answers_without_the_server(write: Write) -> None:
    file = write(config(1))
    done = popen.run(
        [*GATEWAY[:-1], "check", str(file)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "valid; 1 model, 1 provider, 0 tokens" in done.stdout


async def test_closed_stdout_never_becomes_a_socket(write: Write) -> None:
    file = write(config(1, server="drain_delay = 0"))
    # The shell closes it, then becomes the gateway.
    command = ("/bin/sh", "-c", 'exec "$@" >&-', "sh", *GATEWAY)
    async with spawned(command, file) as served:
        assert os.readlink(f"/proc/{served.pid}/fd/1") == os.devnull
        served.terminate()
        assert await served.exit_status() == 0
