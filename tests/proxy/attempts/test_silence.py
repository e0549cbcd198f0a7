from __future__ import annotations

import trio
from trio.testing import MockClock

from gateway.proxy.attempts.silence import Silence

from ...stopping import stopped_at


class Watched:
    """A silence under watch, and the times at which it was acted on."""

    def __init__(self, idle: float, keep_alive: float) -> None:
        self.silence = Silence(idle, keep_alive)
        self.idle: list[float] = []
        self.quiet: list[float] = []

    async def watch(self) -> None:
        await self.silence.watch(
            lambda: self.idle.append(trio.current_time()),
            lambda: self.quiet.append(trio.current_time()),
        )


async def test_idle_is_counted_from_the_last_sound_and_ends_the_watch(
    autojump_clock: MockClock,
) -> None:
    watched = Watched(idle=10, keep_alive=0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched.watch)
        for _ in range(3):
            await trio.sleep(7)
            watched.silence.heard = trio.current_time()
    assert watched.idle == [31]
    assert trio.current_time() == 31


async def test_idle_rests_while_nobody_listens(autojump_clock: MockClock) -> None:
    watched = Watched(idle=10, keep_alive=0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched.watch)
        await trio.sleep(4)
        watched.silence.blocked = True
        await trio.sleep(100)
        watched.silence.blocked = False
        watched.silence.heard = trio.current_time()
    assert watched.idle == [114]


async def test_quiet_comes_again_and_again_until_something_is_said(
    autojump_clock: MockClock,
) -> None:
    watched = Watched(idle=0, keep_alive=15)
    with trio.move_on_at(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watched.watch)
            await trio.sleep(40)
            watched.silence.spoke = trio.current_time()
    assert watched.quiet == [15, 30, 55, 70, 85]
    assert watched.idle == []


async def test_whether_it_is_quiet_is_a_matter_of_the_last_word(
    autojump_clock: MockClock,
) -> None:
    silence = Silence(idle=0, keep_alive=15)
    await trio.sleep(14.9)
    assert not silence.quiet()
    await trio.sleep(0.1)
    assert silence.quiet()
    silence.spoke = trio.current_time()
    assert not silence.quiet()


async def test_off_is_never(autojump_clock: MockClock) -> None:
    watched = Watched(idle=0, keep_alive=0)
    with trio.move_on_after(1_000_000) as patience:
        await watched.watch()
    assert patience.cancelled_caught
    assert watched.idle == watched.quiet == []
    assert not watched.silence.quiet()


# A process that was stopped...


async def test_time_in_which_we_could_not_listen_is_no_silence(
    autojump_clock: MockClock,
) -> None:
    watched = Watched(idle=5, keep_alive=0)
    async with stopped_at(autojump_clock, 3, 10):
        await watched.watch()
    assert watched.idle == [15]


async def test_what_was_sent_meanwhile_is_heard_first(autojump_clock: MockClock) -> None:
    watched = Watched(idle=5, keep_alive=0)
    async with stopped_at(autojump_clock, 3, 10), trio.open_nursery() as nursery:
        nursery.start_soon(watched.watch)
        await trio.sleep(10)
        watched.silence.heard = trio.current_time()
    assert watched.idle == [18]


async def test_a_caller_has_heard_nothing_all_the_same(autojump_clock: MockClock) -> None:
    watched = Watched(idle=30, keep_alive=15)
    async with stopped_at(autojump_clock, 3, 20):
        await watched.watch()
    assert watched.quiet == [23, 38]
    assert watched.idle == [50]
