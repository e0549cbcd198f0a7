"""A session cancelled at every step it takes, four ways; afterwards nothing may be left."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.core.dialects.openai_realtime.dialect import REALTIME, RESPONSES_SOCKET
from gateway.core.dialects.sessions.base import SessionOpening
from gateway.core.records.record import EndReason
from gateway.core.routing.call import Call
from gateway.core.wire.binary.socket_frames import LOST, SocketClose, SocketFrame, SocketRefused
from gateway.proxy.exchange import Exchange
from gateway.proxy.operations.sessions import SessionCall, serve_session
from gateway.proxy.options import ClientOptions
from gateway.proxy.protocols import HeaderPairs
from gateway.proxy.sessions.sockets import MessageHold

from ...rounds import rounds, swept
from ..scripts import ScriptedClient, ScriptedUpstream
from ..striker import Striker
from ..test_cancellation import LIMITED
from ..traffic.sharers import PLACES, RemoteLimits, Sharer, ended
from ..world import KEY, World

# What a side says, and after how many seconds.
Said = Sequence[tuple[float, SocketFrame | SocketClose]]


def message(**members: Any) -> SocketFrame:
    return SocketFrame(json.dumps(members))


CALLER: Said = [
    (1, message(type="session.update", session={"model": "m"})),
    (1, message(type="response.create")),
    (3, SocketFrame(b"\x00", more=True)),
    (0, SocketFrame(b"\x01")),
    (1, SocketClose(1000, "enough")),
]
USAGE = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
PROVIDER: Said = [
    (1, message(type="session.created")),
    (2, message(type="response.created", response={})),
    (1, message(type="response.done", response={"usage": USAGE})),
    (9, SocketClose(1000)),
]
BREAKS: Said = [*PROVIDER[:2], (1, SocketClose(LOST, "it is gone"))]


class ScriptedSocket(ScriptedClient):
    """A caller's side of a session."""

    def __init__(self, said: Said) -> None:
        super().__init__(b"")
        self.frames: list[SocketFrame] = []
        self.closed: SocketClose | None = None
        self._said = iter(said)

    length: int | None = 0

    async def receive_some(self) -> bytes:
        await trio.lowlevel.checkpoint()
        return b""

    def hold_by(self, hold: MessageHold) -> None:
        self.hold = hold

    async def accept(self, subprotocol: str | None, headers: HeaderPairs) -> None:
        await trio.lowlevel.checkpoint()
        self.status = 101

    async def receive(self) -> SocketFrame | SocketClose:
        delay, said = next(self._said, (float("inf"), SocketClose()))
        await trio.sleep(delay)
        return said

    async def send_frame(self, frame: SocketFrame) -> None:
        await trio.sleep(0.1)
        self.frames.append(frame)

    async def close(self, close: SocketClose) -> None:
        await trio.lowlevel.checkpoint()
        self.closed = self.closed or close


class ScriptedProviderSocket:
    """A provider's side of a session, which must be ended, whatever happens."""

    headers: HeaderPairs = ()
    subprotocol: str | None = None

    def __init__(self, said: Said) -> None:
        self.ended = False
        self.got: list[SocketFrame] = []
        self.close_heard = trio.Event()
        self._said = iter(said)

    async def send(self, frame: SocketFrame) -> None:
        await trio.sleep(0.1)
        assert not self.ended
        self.got.append(frame)

    async def receive(self) -> SocketFrame | SocketClose:
        delay, said = next(self._said, (float("inf"), SocketClose()))
        with trio.move_on_after(delay):
            await self.close_heard.wait()
            return SocketClose(1000)
        return said

    async def close(self, close: SocketClose) -> None:
        await trio.sleep(0.1)
        self.close_heard.set()

    def abort(self) -> None:
        self.ended = True


class Opener(ScriptedUpstream):
    """Opens sessions, each as `opened` has next."""

    def __init__(self, opened: Sequence[Said | SocketRefused]) -> None:
        super().__init__([])
        self.sockets: list[ScriptedProviderSocket] = []
        self._opened = iter(opened)

    async def connect(  # type: ignore[override]
        self, call: Call, subprotocols: tuple[str, ...], most: int
    ) -> ScriptedProviderSocket | SocketRefused:
        await trio.sleep(0.5)
        found = next(self._opened)
        if isinstance(found, SocketRefused):
            return found
        self.sockets.append(ScriptedProviderSocket(found))
        return self.sockets[-1]


def world_of(caller: Said, *opened: Said | SocketRefused) -> World:
    world = World(
        [], routes=["a", "b"], client=ScriptedSocket(caller), dialect=REALTIME, callers=[LIMITED]
    )
    world.upstream = Opener(opened)
    return world


def relayed() -> World:
    return world_of(CALLER, PROVIDER)


def broken() -> World:
    return world_of(CALLER[:2], BREAKS)


def retried() -> World:
    return world_of(CALLER, SocketRefused(503, [], b"{}"), PROVIDER)


def check(world: World) -> None:
    opener = world.upstream
    assert isinstance(opener, Opener)
    assert all(each.ended for each in opener.sockets)
    assert len(world.records.all) == 1
    assert world.lifecycle.in_flight == 0
    assert len(world.in_flight) == 0
    assert [slots for slots in world.traffic if slots.held or slots.waiting] == []
    assert world.state.limits.ledger.held() == 0
    for target in world.state.health.targets:
        assert target.in_flight == 0, target


def play(make: Any, way: str, at: int, seed: int) -> tuple[World, int, set[Any]]:
    """Run one session, struck at step `at`; return it, its steps, and what tasks are left."""
    striker = Striker(at)
    found: list[World] = []
    leftovers: set[Any] = set()

    async def main() -> None:
        world: World = make()
        found.append(world)
        client = world.client
        assert isinstance(client, ScriptedSocket)
        call = SessionCall(REALTIME, SessionOpening("m"), lambda: world.snapshot, b"model=m")

        async def work(exchange: Exchange) -> None:
            await serve_session(exchange, KEY, call, ClientOptions(), client)

        task = trio.lowlevel.current_task()
        with trio.CancelScope() as scope:

            def cancel() -> None:
                world.in_flight.cancel("req_1")

            strikes: dict[str, Callable[[], None]] = {
                "leaves": client.leave,
                "cancelled": scope.cancel,
                "shutdown": world.lifecycle.end_requests,
                "operator": cancel,
            }
            striker.strike = strikes[way]
            await world.exchange(work=work)
        striker.strike = None
        leftovers.update(child for nursery in task.child_nurseries for child in nursery.child_tasks)

    dice: random.Random = trio._core._run._r
    dice.seed(seed)
    trio.run(main, clock=MockClock(autojump_threshold=0), instruments=[striker])
    return found[0], striker.steps, leftovers


ENDS = {
    "leaves": EndReason.CLIENT_GONE,
    "cancelled": EndReason.SHUTTING_DOWN,
    "shutdown": EndReason.SHUTTING_DOWN,
    "operator": EndReason.CANCELLED,
}


@pytest.mark.parametrize("make", [relayed, broken, retried])
@pytest.mark.slow
def test_nothing_is_left_of_a_session_cancelled_at_any_step(make: Any) -> None:
    for turn, (way, reason) in enumerate(ENDS.items()):
        for seed in range(rounds(1, 3)):
            untouched, steps, _ = play(make, way, 10**9, seed)
            check(untouched)
            usual = untouched.records.all[0].end_reason
            seen = set()
            for at in swept(steps, turn):
                world, _, leftovers = play(make, way, at, seed)
                try:
                    check(world)
                except AssertionError as exc:
                    exc.add_note(f"{way} at step {at} of {steps}, seed {seed}")
                    raise
                assert not leftovers, (way, at)
                seen.add(world.records.all[0].end_reason)
            assert reason in seen
            assert seen <= {reason, usual}, (way, seen)


async def test_a_place_among_all_is_held_through_all_turns(autojump_clock: MockClock) -> None:
    turn = message(type="response.create", model="m", input="hello")
    answer = message(type="response.completed", response={"id": "resp_1", "usage": USAGE})
    world = World(
        [],
        routes=["a"],
        client=ScriptedSocket([(1, turn), (4, turn), (4, SocketClose(1000))]),
        dialect=RESPONSES_SOCKET,
        callers=[LIMITED],
    )
    world.upstream = Opener([[(3, answer), (4, answer)]])
    limits = world.state.limits = RemoteLimits()
    sharer = Sharer(limits, 1, lifecycle=world.lifecycle)
    world.traffic = sharer.traffic
    client = world.client
    assert isinstance(client, ScriptedSocket)
    call = SessionCall(RESPONSES_SOCKET, SessionOpening(""), lambda: world.snapshot, b"")

    async def work(exchange: Exchange) -> None:
        await serve_session(exchange, KEY, call, ClientOptions(), client)

    seen = set()
    async with trio.open_nursery() as nursery:

        async def look() -> None:
            while True:
                await trio.sleep(0.25)
                seen.add((sharer.everyone.in_use, limits.leases(PLACES)))

        nursery.start_soon(look)
        await world.exchange(work=work)
        nursery.cancel_scope.cancel()
    own = LIMITED.scopes[0].key
    assert limits.asked == [(own,), (PLACES,), (own,)]
    assert seen == {(0, 0), (1, 1)}
    ended(sharer)


def test_what_is_said_and_what_it_comes_to() -> None:
    world, _, _ = play(relayed, "leaves", 10**9, 0)
    record = world.records.all[0]
    assert (record.end_reason, record.input_tokens, record.status) == (EndReason.COMPLETE, 10, 101)
    opener, client = world.upstream, world.client
    assert isinstance(opener, Opener)
    assert isinstance(client, ScriptedSocket)
    (socket,) = opener.sockets
    assert [each.more for each in socket.got] == [False, False, True, False]
    assert json.loads(socket.got[0].data)["session"]["model"] == "real"
    assert [json.loads(each.data)["type"] for each in client.frames] == [
        *("session.created", "response.created", "response.done"),
    ]
    world, _, _ = play(retried, "leaves", 10**9, 0)
    assert len(world.records.all[0].attempts) == 2
    world, _, _ = play(broken, "leaves", 10**9, 0)
    record = world.records.all[0]
    # It was at work: what that took nobody knows; the caller has limits and is charged what is.
    assert (record.end_reason, record.attempts[0].cause) == (
        EndReason.UPSTREAM_BROKE,
        "truncated",
    )
