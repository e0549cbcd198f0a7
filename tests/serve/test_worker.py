"""How a worker leaves, as a process that gets real signals."""

from __future__ import annotations

import signal
import socket
from typing import Any

import pytest
import trio

from gateway.lifecycle import Lifecycle
from gateway.serve import worker as worker_module
from gateway.serve.policy import ServingPolicy
from gateway.serve.sighup import SighupReloads
from gateway.serve.sockets import listen
from gateway.serve.worker import StartupFailed, serve_worker

from .processes import app, asking, exit_status, refuses_connections, running, said_address

pytestmark = pytest.mark.slow

WORKER = app("one_worker")


async def test_sigterm_lets_a_stream_finish_and_closes_idle_connections() -> None:
    policy = '{"drain_delay": 0.3, "drain_timeout": 10}'
    async with running(*WORKER, policy) as process:
        address = await said_address(process)
        async with asking(address, "/ticks/25/0.05") as stream, asking(address, "/pid") as idle:
            await stream.wait_for(b"tick")
            await idle.wait_for(b"0\r\n\r\n")
            process.send_signal(signal.SIGTERM)
            # Load balancers still send requests for a while; one may be quicker than the signal.
            for _ in range(10):
                async with asking(address, "/pid") as late:
                    await late.wait_for(b"0\r\n\r\n")
                if b"connection: close" in late.got.lower():
                    break
            assert b"connection: close" in late.got.lower()
            await idle.wait_end(15)
            assert await refuses_connections(address)
            assert (await stream.wait_end()).endswith(b"done\r\n0\r\n\r\n")
        assert await exit_status(process, 15) == 0


async def test_sigint_stops_accepting_at_once() -> None:
    async with running(*WORKER, '{"drain_delay": 60}') as process:
        address = await said_address(process)
        async with asking(address, "/ticks/15/0.05") as stream:
            await stream.wait_for(b"tick")
            process.send_signal(signal.SIGINT)
            await trio.sleep(0.2)
            assert await refuses_connections(address)
            assert (await stream.wait_end()).endswith(b"done\r\n0\r\n\r\n")
        assert await exit_status(process, 15) == 0


@pytest.mark.parametrize("delay", [60, 0], ids=["while accepting", "while draining"])
async def test_a_second_signal_ends_what_is_in_flight(delay: int) -> None:
    async with running(*WORKER, f'{{"drain_delay": {delay}}}') as process:
        address = await said_address(process)
        async with asking(address, "/ticks/9999/0.05") as stream:
            await stream.wait_for(b"tick")
            process.send_signal(signal.SIGTERM)
            await trio.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            assert (await stream.wait_end(15)).endswith(b"cut\r\n0\r\n\r\n")
        assert await exit_status(process, 15) == 0


async def test_the_drain_timeout_ends_what_is_in_flight() -> None:
    async with running(*WORKER, '{"drain_delay": 0, "drain_timeout": 0.4}') as process:
        address = await said_address(process)
        async with asking(address, "/ticks/9999/0.05") as stream:
            await stream.wait_for(b"tick")
            process.send_signal(signal.SIGTERM)
            assert (await stream.wait_end(15)).endswith(b"cut\r\n0\r\n\r\n")
        assert await exit_status(process, 15) == 0


async def test_an_idle_worker_leaves_right_away() -> None:
    async with running(*WORKER, '{"drain_delay": 0}') as process:
        address = await said_address(process)
        async with asking(address, "/pid") as idle:
            await idle.wait_for(b"0\r\n\r\n")
            process.send_signal(signal.SIGTERM)
            assert await exit_status(process, 15) == 0


async def _reload(cause: str) -> None:
    raise AssertionError("nobody asked for it")


async def test_sighup_reloads_and_does_not_hold_up_the_exit() -> None:
    async with running(*WORKER, '{"drain_delay": 0}') as process:
        address = await said_address(process)
        async with asking(address, "/ticks/10/0.05") as stream:
            await stream.wait_for(b"tick")
            process.send_signal(signal.SIGHUP)
            await said(process, b"SIGHUP\n")
            # While that reload is under way: three more are one more...
            for _ in range(3):
                process.send_signal(signal.SIGHUP)
            await said(process, b"SIGHUP\n")
            # ...and during the second, the end of the process.
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGTERM)
            assert (await stream.wait_end(15)).endswith(b"done\r\n0\r\n\r\n")
        assert await exit_status(process, 15) == 0


async def said(process: trio.Process, words: bytes) -> None:
    assert process.stdout is not None
    with trio.fail_after(30):
        got = b""
        while len(got) < len(words):
            got += await process.stdout.receive_some(len(words) - len(got))
    assert got == words


async def _refuse_to_start(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "config.toml: no models"})


async def test_an_app_that_can_not_start_says_why() -> None:
    sockets = listen(["127.0.0.1:0"], send_timeout=30)
    with pytest.raises(StartupFailed, match=r"^config\.toml: no models$"):
        await serve_worker(
            _refuse_to_start,
            sockets=sockets,
            policy=ServingPolicy,
            lifecycle=Lifecycle(),
            hangups=SighupReloads(_reload),
            on_ready=_never,
        )
    for sock in sockets:
        sock.close()


def _never(addresses: list[str]) -> None:
    raise AssertionError("was never ready")


async def test_the_watchdog_covers_the_whole_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    timers: list[tuple[float, Any]] = []

    class Timer:
        daemon = False

        def __init__(self, seconds: float, action: Any) -> None:
            timers.append((seconds, action))

        def start(self) -> None:
            timers.append((0, "started"))

        def cancel(self) -> None:
            timers.append((0, "cancelled"))

    monkeypatch.setattr("threading.Timer", Timer)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(2):
            message = await receive()
            await send({"type": f"{message['type']}.complete"})

    policy = ServingPolicy(drain_delay=0.01, drain_timeout=20)
    await serve_worker(
        app,
        sockets=listen(["127.0.0.1:0"], send_timeout=30),
        policy=lambda: policy,
        lifecycle=Lifecycle(),
        hangups=SighupReloads(_reload),
        on_ready=lambda _: signal.raise_signal(signal.SIGTERM),
    )
    assert timers == [(30.01, worker_module._hard_stop), (0, "started"), (0, "cancelled")]


async def test_the_end_of_the_lifeline_drains_the_worker() -> None:
    ours, theirs = socket.socketpair()
    lifecycle = Lifecycle()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(2):
            message = await receive()
            await send({"type": f"{message['type']}.complete"})

    with trio.fail_after(30):
        await serve_worker(
            app,
            sockets=listen(["127.0.0.1:0"], send_timeout=30),
            policy=lambda: ServingPolicy(drain_delay=60),
            lifecycle=lifecycle,
            hangups=SighupReloads(_reload),
            on_ready=lambda _: ours.close(),
            lifeline=theirs.detach(),
        )
    assert lifecycle.leaving
