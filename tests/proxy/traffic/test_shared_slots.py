"""Places that several processes share: through their supervisor, with real sockets; and in virtual
time, asked for along with the other limits of their requests.
"""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from gateway.core.cache.answers import ModelCache
from gateway.core.limits.ledger import Demand, LimitKind, LimitRefusal, Scope, ScopeLimits
from gateway.core.limits.operations import AdmitCall, EndCall, LimitCall, StoreFailed
from gateway.core.routing.causes import Skipped, SkipReason
from gateway.errors import GatewayError, Overloaded, ShuttingDown
from gateway.group.host_store import HostLimitStore
from gateway.group.limit_host import LimitHost
from gateway.process.shared.limits import slots_of
from gateway.proxy.admission import admit
from gateway.proxy.attempts.lease import acquire_lease
from gateway.proxy.protocols import OpaqueGrant
from gateway.proxy.reservation import Reservations
from gateway.proxy.traffic.control import OF_PROVIDER
from gateway.proxy.traffic.shared_slots import LOOK
from gateway.proxy.traffic.slots import Slots
from gateway.proxy.traffic.turns import Ask
from gateway.state.shared.limits import SharedLimits
from gateway.state.shared.store import LimitStore

from ...rounds import rounds
from ..scripts import DONE, EOF, STOP, Head, ScriptedClient, Step, chunk, ok
from ..world import body
from .sharers import ASKED, OWN, PLACES, RemoteLimits, Sharer, ended

LIMIT = 3


class Process:
    def __init__(self, limits: SharedLimits, slots: Slots, scope: trio.CancelScope) -> None:
        self.limits, self.slots, self.scope = limits, slots, scope

    async def take(self, timeout: float = 10.0) -> None:
        deadline = trio.current_time() + timeout
        await self.slots.acquire("c", deadline, random.random)


@pytest.fixture
async def host(tmp_path: Path, nursery: trio.Nursery) -> LimitHost:
    host = LimitHost(tmp_path / "limits.sock")
    await nursery.start(host.run)
    return host


@pytest.fixture
def socket(tmp_path: Path, host: LimitHost) -> Path:
    return tmp_path / "limits.sock"


@asynccontextmanager
async def process(
    socket: Path,
    processes: int = 2,
    most: int | None = LIMIT,
    store: Callable[[Path], LimitStore] = HostLimitStore,
) -> AsyncIterator[Process]:
    limits = SharedLimits(store(socket), random.random, processes=processes, timeout=2.0)
    made = slots_of(limits)
    assert made is not None
    slots = made("provider a", "places:provider:a", 100, 5.0, Reservations())
    slots.limit = most
    async with trio.open_nursery() as nursery:
        await nursery.start(limits.run)
        yield Process(limits, slots, nursery.cancel_scope)
        await limits.finish()
        nursery.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(20):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.005)


async def test_all_together_have_as_many_as_the_limit(socket: Path) -> None:
    async with process(socket) as one, process(socket) as two:
        under_way = most = 0
        served = {one: 0, two: 0}

        async def request(by: Process) -> None:
            nonlocal under_way, most
            await by.take()
            under_way += 1
            most = max(most, under_way)
            await trio.sleep(0.005)
            under_way -= 1
            by.slots.release()
            served[by] += 1

        async with trio.open_nursery() as nursery:
            for _ in range(60):
                nursery.start_soon(request, one)
                nursery.start_soon(request, two)
        assert most == LIMIT
        assert served == {one: 60, two: 60}
        assert [(each.slots.held, each.slots.in_use, each.slots.waiting) for each in served] == [
            (0, 0, 0)
        ] * 2


async def test_one_whose_line_never_ends_does_not_keep_the_others_waiting(socket: Path) -> None:
    async with (
        process(socket) as greedy,
        process(socket) as modest,
        trio.open_nursery() as nursery,
    ):

        async def again() -> None:
            while True:
                await greedy.take()
                await trio.sleep(0.01)
                greedy.slots.release()

        for _ in range(20):
            nursery.start_soon(again)
        await until(lambda: greedy.slots.in_use == LIMIT)
        for _ in range(5):
            await modest.take(5.0)
            modest.slots.release()
        nursery.cancel_scope.cancel()


async def test_who_gives_up_leaves_nothing_behind(socket: Path) -> None:
    async with process(socket) as one, process(socket) as two:
        rng = random.Random(3)
        for number in range(60):
            with trio.move_on_after(rng.random() * 0.01), suppress(Overloaded):
                await one.take(rng.random() * 0.02)
                with trio.CancelScope(shield=True):
                    await trio.lowlevel.checkpoint()
                one.slots.release()
            if number % 10 == 9:
                # All places are free again: another process gets each of them.
                for _ in range(LIMIT):
                    await two.take(2.0)
                assert not await one.slots.acquire_at_once()
                for _ in range(LIMIT):
                    two.slots.release()
        assert (one.slots.held, one.slots.in_use) == (0, 0)


async def test_a_wait_has_an_end(socket: Path) -> None:
    async with process(socket, most=1) as one, process(socket, most=1) as two:
        await one.take()
        with pytest.raises(Overloaded, match="none ended in time"):
            await two.take(0.1)
        assert (two.slots.held, two.slots.waiting) == (0, 0)
        assert not await two.slots.acquire_at_once()
        two.slots.max_queue = 0
        with pytest.raises(Overloaded, match="too many are waiting"):
            await two.take()
        two.slots.max_queue = 9

        async def stopped() -> None:
            with pytest.raises(ShuttingDown):
                await two.take()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stopped)
            await until(lambda: two.slots.waiting == 1)
            two.slots.refuse_all()
        one.slots.release()


async def test_places_of_a_process_that_dies_are_free(socket: Path) -> None:
    async with process(socket) as two:
        async with process(socket) as one:
            for _ in range(LIMIT):
                await one.take()
            assert not await two.slots.acquire_at_once()
            one.scope.cancel()
        for _ in range(LIMIT):
            await two.take()


async def test_without_the_others_each_has_its_share(tmp_path: Path) -> None:
    async with process(tmp_path / "nobody", processes=3, most=6) as one:
        assert one.limits.degraded
        await one.take()
        await one.take()
        assert not await one.slots.acquire_at_once()
        one.slots.release()
        assert await one.slots.acquire_at_once()


async def test_limits_come_and_go_with_a_reload(socket: Path) -> None:
    async with process(socket, most=None) as one, process(socket, most=2) as two:
        assert (one.slots.limit, one.slots.shared) == (None, True)
        assert one.slots.acquire_nowait()
        one.slots.limit = 2
        await one.take()
        assert not one.slots.acquire_nowait()
        # What came in before there was a limit has no lease: two are left among all, of which one
        # is taken.
        await two.take()
        assert not await two.slots.acquire_at_once()
        one.slots.release()
        two.slots.release()
        one.slots.limit = None
        assert one.slots.acquire_nowait()
        for _ in range(2):
            one.slots.release()
        assert one.slots.held == 0
        await until_free(two)


async def until_free(of: Process) -> None:
    await of.take(2.0)
    await of.take(2.0)


# Along with other limits...


@pytest.fixture
def limits() -> RemoteLimits:
    return RemoteLimits()


# One question...


async def test_a_request_asks_once_and_ends_once(
    limits: RemoteLimits, autojump_clock: MockClock
) -> None:
    process = Sharer(limits)
    await process.world(("a", ok())).run()
    assert limits.asked == [("token:t", PLACES)]
    assert limits.ended == ["release", "settle"]
    ended(process)


async def test_a_provider_is_asked_for_once_beside_that(
    limits: RemoteLimits, autojump_clock: MockClock
) -> None:
    process = Sharer(limits)
    process.traffic.provider("a").limit = 1
    provider = Scope("provider:a", ScopeLimits(rpm=100))
    await process.world(("a", ok()), provider_scopes={"a": provider}).run()
    assert limits.asked == [("token:t", PLACES), ("provider:a", OF_PROVIDER + "a")]
    assert sorted(limits.ended) == ["release", "settle", "settle"]
    ended(process)


async def test_without_a_limit_nobody_is_asked_for_a_place(
    limits: RemoteLimits, autojump_clock: MockClock
) -> None:
    process = Sharer(limits, None)
    await process.world(("a", ok())).run()
    assert limits.asked == [("token:t",)]
    ended(process)


async def test_a_question_takes_no_place_of_those_that_ask_for_one(
    limits: RemoteLimits, autojump_clock: MockClock
) -> None:
    process = Sharer(limits, 1)
    everyone = process.everyone
    joint = everyone.beside()
    assert joint is not None
    # As many questions as places: more would only be refused.
    assert everyone.beside() is None
    assert (everyone.held, everyone.in_use) == (0, 0)
    await everyone.acquire("c", trio.current_time() + 1, random.random)
    assert (everyone.held, everyone.in_use) == (1, 1)
    # It comes too late, and holds nothing.
    assert await joint.ask(limits, [OWN], Demand(), 60) is None
    assert (everyone.held, everyone.in_use) == (1, 1)
    joint.release()
    everyone.release()
    ended(process)


# Refusals...


@pytest.mark.parametrize(
    ("own", "kind"),
    [
        (ScopeLimits(rpm=1), "requests"),
        # It would have its turn again before a place is expected to be free.
        (ScopeLimits(rpm=100), "requests"),
        (ScopeLimits(tpm=1), "tokens"),
        (ScopeLimits(max_concurrent=1), "requests"),
    ],
)
@pytest.mark.parametrize("full", [False, True])
async def test_who_is_over_its_own_limits_is_told_of_these(
    limits: RemoteLimits, autojump_clock: MockClock, own: ScopeLimits, kind: str, full: bool
) -> None:
    process, other = Sharer(limits, 3), Sharer(limits, 3)
    scope = Scope("token:limited", own)
    async with trio.open_nursery() as nursery:
        if full:
            for _ in range(3):
                nursery.start_soon(other.request, 20)
            await trio.sleep(1)
        limits.delay = 0.0
        taken = [await limits.admit([scope], Demand(1)) for _ in range(own.rpm or own.tpm or 1)]
        limits.delay = ASKED
        began = trio.current_time()
        with pytest.raises(GatewayError) as refused:
            await process.request(0, scope)
        assert (refused.value.status, refused.value.type) == (429, kind)
        assert refused.value.retry_after is not None
        # Nobody waits in the gateway's line for nothing.
        assert trio.current_time() - began < 1
        process.check(empty=True)
        for grant in taken:
            await limits.void(grant)
    ended(process)


async def test_who_lacks_a_place_waits_for_it_in_line(
    limits: RemoteLimits, autojump_clock: MockClock
) -> None:
    process, other = Sharer(limits, 1), Sharer(limits, 1)
    served: list[float] = []

    async def late() -> None:
        await process.request(0)
        served.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other.request, 2.0)
        await trio.sleep(0.1)
        nursery.start_soon(late)
        await trio.sleep(0.1)
        assert (process.everyone.waiting, process.everyone.in_use) == (1, 0)
        # Who comes later does not get by: it asks for no place along with its limits.
        assert process.everyone.beside() is None
    # By its head's next question, a place that was given back elsewhere is found.
    assert 2.0 < served[0] < 2.0 + 2 * ASKED + LOOK + 0.001
    ended(process)


async def test_a_wait_in_vain_ends_as_such_and_gives_all_back(
    limits: RemoteLimits, autojump_clock: MockClock
) -> None:
    process, other = Sharer(limits, 1), Sharer(limits, 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(other.request, 20)
        await trio.sleep(0.1)
        with pytest.raises(GatewayError) as refused:
            await process.request(0)
        assert (refused.value.status, refused.value.code) == (503, "queue_timeout")
        assert limits.leases("token:t") == 1
        process.check(empty=True)
    level = limits.ledger.status(OWN, trio.current_time())
    assert level.requests is not None
    # The one that was refused has taken nothing.
    assert level.requests.remaining >= 9_999
    ended(process)


async def test_lines_of_a_caller_are_for_its_own_places(
    limits: RemoteLimits, autojump_clock: MockClock
) -> None:
    process, other = Sharer(limits, 1), Sharer(limits, 1)
    own = Scope("token:t", ScopeLimits(max_concurrent=5))
    refusals: list[LimitRefusal] = []
    admitted = process.traffic.turns.admitted

    async def watched(scopes: Sequence[Scope], ask: Ask) -> OpaqueGrant | LimitRefusal:
        async def asked() -> OpaqueGrant | LimitRefusal:
            found = await ask()
            if isinstance(found, LimitRefusal):
                refusals.append(found)
            return found

        return await admitted(scopes, asked)

    process.traffic.turns.admitted = watched  # type: ignore[method-assign]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(other.request, 1)
        await trio.sleep(0.1)
        for _ in range(8):

            async def one() -> None:
                with suppress(GatewayError):
                    await process.request(0.1, own)

            nursery.start_soon(one)
    assert {(each.scope.key, each.kind) for each in refusals} == {("token:t", LimitKind.CONCURRENT)}
    ended(process)


@pytest.mark.parametrize("hedge", [False, True])
async def test_a_hedge_does_not_wait_for_a_place(
    limits: RemoteLimits, autojump_clock: MockClock, hedge: bool
) -> None:
    process, other = Sharer(limits), Sharer(limits)
    for each in (process, other):
        each.traffic.provider("a").limit = 1
    world = process.world(("a", ok()), provider_scopes={"a": Scope("provider:a", ScopeLimits())})
    async with trio.open_nursery() as nursery:

        async def elsewhere() -> None:
            slots = other.traffic.provider("a")
            await slots.acquire("c", math.inf, random.random)
            await trio.sleep(1)
            slots.release()

        nursery.start_soon(elsewhere)
        await trio.sleep(0.1)
        limits.asked.clear()
        lease = await acquire_lease(
            world.services,
            world.snapshot,
            world.deployments[0],
            world.state.health.target(world.deployments[0]),
            caller="c",
            demand=Demand(),
            deadline=trio.current_time() + 10,
            later=False,
            hedge=hedge,
        )
        if hedge:
            assert isinstance(lease, Skipped)
            assert lease.why is SkipReason.BUSY
            assert limits.asked == [("provider:a", OF_PROVIDER + "a")]
            assert trio.current_time() == pytest.approx(0.1 + ASKED)
        else:
            assert not isinstance(lease, Skipped)
            assert trio.current_time() > 1
            lease._slot.release()
            assert lease._reservation is not None
            await lease._reservation.settle(0, 0)
    ended(process)


# What may happen meanwhile...


@pytest.mark.parametrize("scene", ["free", "full", "own"])
async def test_cut_at_any_moment_nothing_is_left(
    limits: RemoteLimits, autojump_clock: MockClock, scene: str
) -> None:
    own = Scope("token:t", ScopeLimits(max_concurrent=1)) if scene == "own" else OWN
    for step in range(24):
        process, other = Sharer(limits, 1), Sharer(limits, 1)
        async with trio.open_nursery() as nursery:
            if scene != "free":
                nursery.start_soon(other.request, 0.06, own if scene == "own" else OWN)
                await trio.sleep(0.02)
            with trio.move_on_after(0.001 + step * ASKED / 2):
                with suppress(GatewayError):
                    await process.request(0.02, own)
            process.check(empty=True)
        other.check(empty=True)
        assert limits.ledger.held() == 0


async def test_a_fault_of_the_limits_leaves_nothing(
    limits: RemoteLimits, autojump_clock: MockClock
) -> None:
    process = Sharer(limits)
    limits.away = True
    with pytest.raises(ConnectionError):
        await process.request(0)
    ended(process)


@pytest.mark.parametrize("after", [None, 1, 2, 5])
@pytest.mark.parametrize("moment", ["asking", "held"])
async def test_a_reload_meanwhile(
    limits: RemoteLimits, autojump_clock: MockClock, after: int | None, moment: str
) -> None:
    process = Sharer(limits, 2)
    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(process.request, 1.0)
        await trio.sleep(ASKED / 4 if moment == "asking" else 0.5)
        process.configure(after)
        process.check()
        await trio.sleep(0.2)
        process.check()
        process.configure(2)
        await trio.sleep(0.2)
        process.check()
    ended(process)


async def test_places_that_are_given_back_at_one_moment_all_go_back(
    limits: RemoteLimits, autojump_clock: MockClock
) -> None:
    process, other = Sharer(limits, 2), Sharer(limits, 2)
    everyone = process.everyone
    for _ in range(2):
        await everyone.acquire("c", math.inf, random.random)
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(everyone.acquire, "c", math.inf, random.random)
        await trio.sleep(1)
        for _ in range(2):
            everyone.release()
        # Both are called, and have no place before they have asked for one.
        assert (everyone.held, everyone.in_use) == (2, 0)
        nursery.cancel_scope.cancel()
    ended(process)
    for _ in range(2):
        assert await other.everyone.acquire_at_once()


async def test_what_came_in_without_a_limit_and_what_came_later(
    limits: RemoteLimits, autojump_clock: MockClock
) -> None:
    process = Sharer(limits, None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(process.request, 1)
        nursery.start_soon(process.request, 3)
        await trio.sleep(0.5)
        process.configure(3)
        nursery.start_soon(process.request, 1)
        await trio.sleep(0.1)
        assert (process.everyone.in_use, process.everyone._joint) == (3, 1)
        assert limits.leases(PLACES) == 1
        await trio.sleep(0.5)
        assert process.everyone.in_use == 2
        # The joint one keeps its lease, whoever else ends.
        assert limits.leases(PLACES) == 1
        process.configure(None)
        nursery.start_soon(process.request, 0.1)
        await trio.sleep(1)
        assert limits.leases(PLACES) == 0
    ended(process)


async def test_a_drain_ends_the_wait_and_no_new_one_begins(
    limits: RemoteLimits, autojump_clock: MockClock
) -> None:
    process, other = Sharer(limits, 1), Sharer(limits, 1)
    codes: list[str] = []

    async def waits() -> None:
        try:
            await process.request(0)
        except GatewayError as exc:
            codes.append(exc.code)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other.request, 3)
        await trio.sleep(0.1)
        nursery.start_soon(waits)
        await trio.sleep(0.1)
        # And one that has asked for its place, and has no answer yet.
        nursery.start_soon(waits)
        await trio.sleep(ASKED / 4)
        process.everyone.refuse_all()
        await trio.sleep(5 * ASKED)
        assert sorted(codes) == ["queue_full", "server_shutting_down"]
        process.check(empty=True)
    # Places that are free can still be taken.
    await process.request(0)
    ended(process)


@pytest.mark.parametrize("seed", range(rounds(6, 300)))
async def test_any_order_of_all_that_can_happen(autojump_clock: MockClock, seed: int) -> None:
    rng, reloads = random.Random(seed), seed % 2
    limits = RemoteLimits(0.004)
    processes = [Sharer(limits, 4, seed=seed + number) for number in range(3)]
    scopes = [Scope(f"token:{name}", ScopeLimits(max_concurrent=2)) for name in "abc"]

    async def request(process: Sharer) -> None:
        await trio.sleep(rng.random() * 2)
        with trio.move_on_after(rng.choice((0.001, 0.005, 0.02, 0.2, 9.0)) * rng.random()):
            with suppress(GatewayError):
                await process.request(rng.random() * 0.1, rng.choice((OWN, OWN, *scopes)))

    async def look() -> None:
        while True:
            for process in processes:
                process.check()
            together = sum(process.everyone.in_use for process in processes)
            # None is in use that has no lease, and of leases only those on their way are more.
            assert reloads or together <= limits.leases(PLACES) <= 4
            if reloads and rng.random() < 0.01:
                most = rng.choice((None, 1, 4, 9))
                for process in processes:
                    process.configure(most)
            await trio.sleep(0.003)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        async with trio.open_nursery() as requests:
            for number in range(rounds(150, 300)):
                requests.start_soon(request, processes[number % 3])
        nursery.cancel_scope.cancel()
    for process in processes:
        ended(process)


async def test_no_process_is_kept_waiting_by_one_whose_line_never_ends(
    limits: RemoteLimits, autojump_clock: MockClock
) -> None:
    greedy, modest = Sharer(limits, 3, seed=1), Sharer(limits, 3, seed=2)
    async with trio.open_nursery() as nursery:

        async def again() -> None:
            while True:
                with suppress(GatewayError):
                    await greedy.request(0.05)

        for _ in range(20):
            nursery.start_soon(again)
        await trio.sleep(1)
        waits = []
        for _ in range(20):
            began = trio.current_time()
            await modest.request(0.05)
            waits.append(trio.current_time() - began - 0.05)
        assert sorted(waits)[len(waits) // 2] < 0.5
        assert max(waits) < 3
        nursery.cancel_scope.cancel()
    for each in (greedy, modest):
        ended(each)


# Requests whose place lasts longer than what they reserve...


async def test_a_session_has_a_place_of_its_own(
    limits: RemoteLimits, autojump_clock: MockClock
) -> None:
    process = Sharer(limits)
    exchange = process.exchange()
    async with await admit(exchange, Demand(), math.inf, lasting=True):
        assert limits.asked == [("token:t",), (PLACES,)]
        assert exchange.settlement.reservation is not None
        # Each of its turns is a request in the limits of its caller.
        await exchange.settlement.reservation.release()
        assert (limits.leases("token:t"), limits.leases(PLACES)) == (0, 1)
    await exchange.settlement.reservation.settle(0, 0)
    ended(process)


async def test_a_shared_call_leaves_its_first_caller_the_place(
    limits: RemoteLimits, autojump_clock: MockClock
) -> None:
    process = Sharer(limits)
    steps: list[Step] = [(0, Head()), (0, chunk("hi")), (1, STOP + DONE), (0, EOF)]
    client = ScriptedClient(body(), pauses={1: 20.0})
    world = process.world(("a", steps), client=client, cache=ModelCache(ttl=60, coalesce=True))
    async with trio.open_nursery() as nursery:
        await nursery.start(world.cache.flights.run)
        async with trio.open_nursery() as requests:
            requests.start_soon(world.exchange)
            await trio.sleep(10)
            # The call is over, and its answer is still being read.
            assert world.upstream.called
            assert (limits.leases("token:t"), limits.leases(PLACES)) == (1, 1)
            assert process.everyone.in_use == 1
        nursery.cancel_scope.cancel()
    assert limits.asked == [("token:t", PLACES)]
    assert limits.ended == ["settle"]
    ended(process)


# With a place where limits are kept...


class RecordingStore(HostLimitStore):
    """The supervisor's, which knows what it was asked.

    The next admission fails before or after it is done, if `fails` says so.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.calls: list[LimitCall] = []
        self.fails = ""

    async def call(self, call: LimitCall) -> Any:
        self.calls.append(call)
        fails = ""
        if isinstance(call, AdmitCall):
            fails, self.fails = self.fails, ""
        if fails == "before":
            raise StoreFailed("the question is lost")
        answer = await super().call(call)
        if fails == "after":
            raise StoreFailed("the answer is lost")
        return answer

    @property
    def admissions(self) -> list[tuple[str, ...]]:
        """Return which limits were asked for, question by question."""
        return [
            tuple(scope.key for scope in call.scopes)
            for call in self.calls
            if isinstance(call, AdmitCall)
        ]

    @property
    def endings(self) -> list[list[str]]:
        """Return how grants were ended, call by call."""
        return [
            [each.how for each in call.endings] for call in self.calls if isinstance(call, EndCall)
        ]


def recorded(of: Process) -> RecordingStore:
    assert isinstance(of.limits.store, RecordingStore)
    return of.limits.store


@pytest.mark.parametrize("provider", [False, True])
async def test_a_request_asks_the_supervisor_once(
    host: LimitHost, socket: Path, provider: bool
) -> None:
    async with process(socket, store=RecordingStore) as one:
        sharer = Sharer(one.limits)
        limited = {"a": Scope("provider:a", ScopeLimits(rpm=100))} if provider else None
        world = sharer.world(("a", ok()), provider_scopes=limited)
        if provider:
            sharer.traffic.provider("a").limit = 3
        await world.exchange()
        assert world.client.status == 200
        await until(lambda: host.ledger.held() == 0 and not len(one.limits._queue))
        of_provider = [("provider:a", OF_PROVIDER + "a")] if provider else []
        assert recorded(one).admissions == [("token:t", PLACES), *of_provider]
        # Its place may have been told of before what it used was known.
        ends = [how for call in recorded(one).endings for how in call]
        assert ends.count("settle") == 1 + len(of_provider)
        assert len(ends) <= 2 + len(of_provider)
        sharer.check(empty=True)


async def test_the_end_of_a_request_is_told_once(host: LimitHost, socket: Path) -> None:
    async with process(socket, store=RecordingStore) as one:
        sharer = Sharer(one.limits)
        exchange = sharer.exchange()
        async with await admit(exchange, Demand(), math.inf):
            assert host.ledger.held() == 2
        assert exchange.settlement.reservation is not None
        # No task ran between the two.
        await exchange.settlement.reservation.settle(1, 1)
        await until(lambda: not len(one.limits._queue))
        assert recorded(one).endings == [["settle"]]
        assert host.ledger.held() == 0
        sharer.check(empty=True)


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_the_others_are_lost_in_the_middle_of_a_question(
    host: LimitHost, socket: Path, moment: str
) -> None:
    async with process(socket, store=RecordingStore) as one:
        sharer = Sharer(one.limits)
        everyone = sharer.everyone
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sharer.request, math.inf)
            await until(lambda: everyone.in_use == 1)
            recorded(one).fails = moment
            nursery.start_soon(sharer.request, math.inf)
            await until(lambda: one.limits.link.outages > 0)
            assert one.limits.decided_alone
            # Of two places one is this process's own: the second is had when the others are back.
            await until(lambda: everyone.in_use == 2)
            sharer.check()
            await until(lambda: not one.limits.degraded and not len(one.limits._queue))
            await until(lambda: host.ledger.held() == 4)
            nursery.cancel_scope.cancel()
        sharer.check(empty=True)
        await until(lambda: host.ledger.held() == 0)


async def test_requests_that_are_cut_leave_no_lease_with_the_supervisor(
    host: LimitHost, socket: Path
) -> None:
    rng = random.Random(7)
    async with process(socket) as one, process(socket) as two:
        sharers = [Sharer(each.limits, seed=number) for number, each in enumerate((one, two))]

        async def cut(sharer: Sharer) -> None:
            with trio.move_on_after(rng.random() * 0.02), suppress(GatewayError):
                await sharer.request(rng.random() * 0.005)

        async with trio.open_nursery() as nursery:
            for number in range(rounds(100, 2000)):
                nursery.start_soon(cut, sharers[number % 2])
                await trio.sleep(rng.random() * 0.001)
        for sharer in sharers:
            sharer.check(empty=True)
        await until(lambda: host.ledger.held() == 0)
