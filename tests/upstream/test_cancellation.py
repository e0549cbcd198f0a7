"""Cancelled anywhere, an exchange leaves no slot taken and no socket open."""

from __future__ import annotations

import random
import ssl
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
import trustme

from gateway.core.routing.call import Call
from gateway.transport_errors import PoolTimeout, StaleConnection
from gateway.upstream.pool import PoolPolicy, PoolStats
from gateway.upstream.response import Response
from gateway.upstream.transport import Transport

from ..rounds import rounds, swept
from .servers import OK, Server, open_sockets, read_request, replying, serving

NOTHING = PoolStats(idle=0, in_use=0, waiting=0)
STREAMED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class CancelAtStep(trio.abc.Instrument):
    """Cancels `scope` when the task has been scheduled for the `step`-th time."""

    def __init__(self, scope: trio.CancelScope, step: int) -> None:
        self._task = trio.lowlevel.current_task()
        self._scope = scope
        self._left = step
        self.fired = False

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        # Before the step runs: what it waited for has happened, and the next wait is cut.
        self._count(task)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        # After it: it has begun to wait, and the wait itself is cut.
        self._count(task)

    def _count(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self._left -= 1
            if self._left == 0:
                self.fired = True
                self._scope.cancel()


async def slow(stream: trio.abc.Stream) -> None:
    """Answer in pieces, so that the client waits for each."""
    while await read_request(stream):
        for piece in (b"HTTP/1.1 ", STREAMED[9:], b"3\r\nab", b"c\r\n", b"0\r\n\r\n"):
            await trio.sleep(0.001)
            await stream.send_all(piece)


async def exchange(transport: Transport, call: Call) -> None:
    async with await transport.request(call) as response:
        assert await response.read(100) == b"abc"


async def sweep(
    server: Server,
    transport: Transport,
    call: Call,
    run: Callable[[], Awaitable[None]],
    reset: Callable[[], Awaitable[None]],
    turn: int,
) -> int:
    """Cancel `run` at its steps, each or each third; return about how many there are."""
    for step in swept(500, turn):
        await reset()
        with trio.CancelScope() as scope:
            instrument = CancelAtStep(scope, step)
            trio.lowlevel.add_instrument(instrument)
            try:
                await run()
            finally:
                trio.lowlevel.remove_instrument(instrument)
        stats = transport.stats()[call.origin]
        assert (stats.in_use, stats.waiting) == (0, 0), step
        assert open_sockets(server.port) == stats.idle, step
        await exchange(transport, call)
        if not instrument.fired:
            return step - 1
    raise AssertionError("it never ends")


def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.mark.slow
@pytest.mark.parametrize("reused", [False, True])
@pytest.mark.parametrize("encrypted", [False, True])
async def test_cancelled_at_every_step(
    reused: bool, encrypted: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    context, ca_file = None, tmp_path_factory.mktemp("ca") / "ca.pem"
    if encrypted:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(ca_file))
        context = tls(authority)
    async with serving(slow, context) as server:
        call = server.call(
            scheme="https" if encrypted else "http",
            ca_file=str(ca_file) if encrypted else None,
            max_connections=1,
        )
        transport = Transport(PoolPolicy(idle_timeout=20.0 if reused else -1.0))

        async def reset() -> None:
            if reused:
                await exchange(transport, call)

        turn = 2 * reused + encrypted
        run = lambda: exchange(transport, call)  # noqa: E731
        steps = await sweep(server, transport, call, run, reset, turn)
        assert steps >= 10
        await transport.aclose()
        assert open_sockets(server.port) == 0


async def test_cancelled_at_every_step_of_waiting_for_a_slot() -> None:
    async with serving(slow) as server:
        call = server.call(max_connections=1)
        transport = Transport()

        for step in range(1, 60):
            holder = await transport.request(call)
            async with trio.open_nursery() as nursery:

                async def free(holder: Response = holder) -> None:
                    await trio.testing.wait_all_tasks_blocked()
                    assert await holder.read(9) == b"abc"

                nursery.start_soon(free)
                with trio.CancelScope() as scope:
                    instrument = CancelAtStep(scope, step)
                    trio.lowlevel.add_instrument(instrument)
                    try:
                        await exchange(transport, call)
                    finally:
                        trio.lowlevel.remove_instrument(instrument)
            stats = transport.stats()[call.origin]
            assert (stats.in_use, stats.waiting) == (0, 0), step
            if not instrument.fired:
                break
        else:
            raise AssertionError("it never ends")
        await transport.aclose()
        assert open_sockets(server.port) == 0


@pytest.mark.parametrize("cancel_first", [False, True])
@pytest.mark.parametrize("usable", [False, True])
async def test_a_slot_given_in_the_instant_of_a_cancellation(
    cancel_first: bool, usable: bool
) -> None:
    """Cancelled but not yet running, a waiter is still in the queue, and gets the slot."""
    async with serving(replying(OK)) as server:
        transport = Transport()
        call = server.call(max_connections=1)
        await (await transport.request(call)).read(9)
        pool = transport._pools[call.origin]
        held = await pool.acquire(0)
        assert held is not None
        got: list[object] = []
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()

            async def cancelled() -> None:
                with scope:
                    pool.forfeit(await pool.acquire(5))
                    got.append("slot")

            async def next_in_line() -> None:
                got.append(connection := await pool.acquire(5))
                pool.forfeit(connection)

            nursery.start_soon(cancelled)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(next_in_line)
            await trio.testing.wait_all_tasks_blocked()
            if cancel_first:
                scope.cancel()
            if usable:
                pool.release(held)
            else:
                pool.forfeit(held)
            scope.cancel()
        assert pool.stats == NOTHING
        if cancel_first:
            assert got == [held if usable else None]
        assert open_sockets(server.port) == 0


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2))
async def test_a_storm_of_cancellations(seed: int) -> None:
    """20 workers on 10 connections: what leaves httpcore's pool dead for good."""
    rng = random.Random(seed)
    served, enough = 0, trio.Event()

    async def handler(stream: trio.abc.Stream) -> None:
        while await read_request(stream):
            await trio.sleep(rng.random() * 0.003)
            await stream.send_all(STREAMED + b"3\r\nabc\r\n")
            await trio.sleep(rng.random() * 0.003)
            await stream.send_all(b"0\r\n\r\n")
            if rng.random() < 0.1:
                return

    async with serving(handler) as server:
        transport = Transport(PoolPolicy(timeout=0.02))
        call = server.call(max_connections=10)

        async def worker() -> None:
            nonlocal served
            while True:
                with trio.move_on_after(rng.random() * 0.06):
                    try:
                        await exchange(transport, call)
                        served += 1
                        if served > 20:
                            enough.set()
                    except (PoolTimeout, StaleConnection):
                        pass
                stats = transport.stats()[call.origin]
                assert stats.idle + stats.in_use <= 10

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(worker)
            await trio.sleep(rounds(0.5, 1.5))
            # On a busy machine hardly one is done in the time that it has.
            with trio.fail_after(30):
                await enough.wait()
            nursery.cancel_scope.cancel()
        stats = transport.stats()[call.origin]
        assert (stats.in_use, stats.waiting) == (0, 0)
        assert open_sockets(server.port) == stats.idle
        for _ in range(20):
            try:
                await exchange(transport, call)
            except StaleConnection:
                await exchange(transport, call)
        await transport.aclose()
        assert open_sockets(server.port) == 0
