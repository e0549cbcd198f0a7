"""Upgrades of a crew of shell scripts: what is told of them."""

from __future__ import annotations

import trio

from gateway.serve.crew.upgrade import KEPT, Upgrade, Upgrades

from ..processes import eventually
from .workers import GOOD, Scripted, all_ready, crew_of

NEWER = GOOD.replace("1.0", "1.1")


class Told:
    def __init__(self) -> None:
        self.upgrades: tuple[Upgrade, ...] = ()
        self.steps: list[tuple[int, str]] = []

    def __call__(self, upgrades: tuple[Upgrade, ...]) -> None:
        self.upgrades = upgrades
        self.steps.append((len(upgrades[-1].processes), upgrades[-1].problem))

    @property
    def count(self) -> int:
        return len([each for each in self.upgrades if each.ended is not None])

    async def ended(self, count: int) -> Upgrade:
        """Wait for the end of so many upgrades; return the last of them."""
        await eventually(lambda: self.count >= count, 10)
        return self.upgrades[count - 1]


async def good() -> str:
    return ""


async def test_all_are_replaced_and_each_is_told() -> None:
    scripted, told = Scripted(), Told()
    async with crew_of(3, scripted) as crew, trio.open_nursery() as nursery:
        before = await all_ready(crew)
        scripted.then(NEWER)
        upgrades = Upgrades(crew, good, told)
        nursery.start_soon(upgrades.run)
        upgrades.ask()
        done = await told.ended(1)
        assert (done.version, done.problem, done.workers) == ("1.1", "", 3)
        assert list(done.processes) == await all_ready(crew)
        assert not set(done.processes) & set(before)
        assert told.steps == [(0, ""), (1, ""), (2, ""), (3, ""), (3, "")]
        nursery.cancel_scope.cancel()


async def test_the_first_that_cannot_serve_ends_it() -> None:
    scripted, told = Scripted(), Told()
    async with crew_of(3, scripted) as crew, trio.open_nursery() as nursery:
        before = await all_ready(crew)
        scripted.then(NEWER, "printf 'no' >&$WORDS; exit 1")
        upgrades = Upgrades(crew, good, told)
        nursery.start_soon(upgrades.run)
        upgrades.ask()
        done = await told.ended(1)
        assert (len(done.processes), done.problem) == (1, "the new worker can't serve: no")
        assert await all_ready(crew) == [*done.processes, *before[1:]]
        nursery.cancel_scope.cancel()


async def test_a_trial_that_fails_ends_it_before_anything_is_started() -> None:
    async def bad() -> str:
        return "the code on disk is broken: SyntaxError"

    scripted, told = Scripted(), Told()
    async with crew_of(1, scripted) as crew, trio.open_nursery() as nursery:
        before = await all_ready(crew)
        upgrades = Upgrades(crew, bad, told)
        nursery.start_soon(upgrades.run)
        upgrades.ask()
        assert (await told.ended(1)).problem == "the code on disk is broken: SyntaxError"
        assert scripted.started == before
        nursery.cancel_scope.cancel()


async def test_those_asked_for_during_one_are_one_more_after_it() -> None:
    scripted, told = Scripted(), Told()
    async with crew_of(1, scripted) as crew, trio.open_nursery() as nursery:
        await all_ready(crew)
        upgrades = Upgrades(crew, good, told)
        nursery.start_soon(upgrades.run)
        upgrades.ask()
        await eventually(lambda: bool(told.upgrades), 10)
        for _ in range(3):
            upgrades.ask()
        first, second = await told.ended(1), await told.ended(2)
        assert first.ended is not None
        assert first.ended <= second.began
        for _ in range(KEPT):
            last = len(told.steps)
            upgrades.ask()
            # It begins, a worker is ready, it ends.
            await eventually(lambda: len(told.steps) == last + 3, 10)  # noqa: B023
        assert len(told.upgrades) == KEPT
        nursery.cancel_scope.cancel()


async def test_told_to_leave_in_the_middle_it_says_so() -> None:
    scripted, told = Scripted(), Told()
    async with trio.open_nursery() as nursery:
        async with crew_of(2, scripted) as crew:
            await all_ready(crew)
            scripted.then("exec sleep 60")
            upgrades = Upgrades(crew, good, told)
            nursery.start_soon(upgrades.run)
            upgrades.ask()
            await eventually(lambda: len(scripted.started) == 3, 10)
        assert (await told.ended(1)).problem == "the gateway was told to leave"
        nursery.cancel_scope.cancel()
