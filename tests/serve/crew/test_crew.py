"""A crew of shell scripts: who takes whose place, and what becomes of the others."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator

import pytest
import trio

from gateway.serve.crew import crew as module

from ..processes import eventually
from .workers import GOOD, Scripted, all_ready, crew_of

RELOADED = "kill -HUP $$; sleep 60"


async def test_a_ready_worker_takes_the_place_and_the_old_one_leaves() -> None:
    ways: list[tuple[int, str]] = []

    @contextlib.contextmanager
    def make_way(number: int) -> Iterator[Callable[[], None]]:
        ways.append((number, "begin"))
        yield lambda: ways.append((number, "taken"))
        ways.append((number, "end"))

    scripted = Scripted()
    noted: list[int] = []
    async with crew_of(2, scripted, make_way=make_way) as crew:
        first, second = await all_ready(crew)
        problem = await crew.replace(crew.posts[1], lambda new: noted.append(new.pid))
        assert problem == ""
        kept, new = await all_ready(crew)
        assert (kept, [new]) == (first, noted)
        assert new != second
        assert {each.pid for each in crew.members} == {kept, new}
        assert sorted(scripted.started[:2]) == sorted([first, second])
        assert scripted.started[2:] == [new]
    assert ways == [(1, "begin"), (1, "taken"), (1, "end")]
    assert crew.status == 0


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("printf 'the port is mine' >&$WORDS; exit 1", "can't serve: the port is mine"),
        ("exit 3", "left with status 3 before it was ready; the log says why"),
        ("kill -9 $$", "was ended by SIGKILL before it was ready; the log says why"),
        ("exec >&$WORDS; exit 0", "left with status 0 before it was ready; the log says why"),
    ],
)
async def test_one_that_cannot_serve_changes_nothing(script: str, why: str) -> None:
    scripted = Scripted()
    async with crew_of(1, scripted) as crew:
        before = await all_ready(crew)
        scripted.then(script)
        problem = await crew.replace(crew.posts[0], lambda new: None)
        assert problem == f"the new worker {why}"
        assert await all_ready(crew) == before
        scripted.then(GOOD)
        assert await crew.replace(crew.posts[0], lambda new: None) == ""


async def test_one_that_is_never_ready_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READY_WITHIN", 0.1)
    scripted = Scripted()
    async with crew_of(1, scripted) as crew:
        before = await all_ready(crew)
        scripted.then("exec sleep 60")
        problem = await crew.replace(crew.posts[0], lambda new: None)
        assert problem == "the new worker was not ready within 0.1 s"
        assert await all_ready(crew) == before
        assert [each.pid for each in crew.members] == before


async def test_one_that_is_asked_to_reload_in_its_start_is_followed_by_another() -> None:
    scripted = Scripted()
    async with crew_of(1, scripted) as crew:
        (before,) = await all_ready(crew)
        scripted.then(RELOADED, RELOADED, GOOD)
        assert await crew.replace(crew.posts[0], lambda new: None) == ""
        assert len(scripted.started) == 4
        assert await all_ready(crew) != [before]


async def test_an_old_one_that_dies_meanwhile_is_replaced_once() -> None:
    scripted = Scripted()
    async with crew_of(1, scripted) as crew:
        (before,) = await all_ready(crew)
        scripted.then(f"sleep 0.3; {GOOD}")

        async def kill() -> None:
            await trio.sleep(0.1)
            os.kill(before, signal.SIGKILL)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(kill)
            assert await crew.replace(crew.posts[0], lambda new: None) == ""
        assert len(scripted.started) == 2
        assert await all_ready(crew) == scripted.started[1:]


async def test_a_place_is_taken_again_if_old_and_new_die(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted = Scripted()
    async with crew_of(1, scripted) as crew:
        (before,) = await all_ready(crew)
        scripted.then("sleep 0.3; exit 1", GOOD)

        async def kill() -> None:
            await trio.sleep(0.1)
            os.kill(before, signal.SIGKILL)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(kill)
            assert await crew.replace(crew.posts[0], lambda new: None) != ""
        assert await all_ready(crew) == scripted.started[2:]


async def test_a_new_one_that_dies_after_it_was_ready_is_started_again() -> None:
    scripted = Scripted()
    async with crew_of(1, scripted) as crew:
        await all_ready(crew)
        # The one that was there takes its time.
        dies = "printf 'ready 2\\n' >&$WORDS; sleep 0.05; exit 1"
        scripted.then(dies, GOOD)
        assert await crew.replace(crew.posts[0], lambda new: None) == ""
        await eventually(lambda: len(scripted.started) == 3, 10)
        assert await all_ready(crew) == scripted.started[2:]


async def test_an_old_one_that_does_not_leave_is_killed() -> None:
    scripted = Scripted("printf 'ready 1\\n' >&$WORDS; exec sleep 60")
    async with crew_of(1, scripted) as crew:
        crew._kill_after = 0.1
        (before,) = await all_ready(crew)
        scripted.then(GOOD)
        assert await crew.replace(crew.posts[0], lambda new: None) == ""
        assert before not in {each.pid for each in crew.members}


async def test_told_to_leave_while_one_is_started_all_leave() -> None:
    scripted = Scripted()
    async with crew_of(2, scripted) as crew:
        await all_ready(crew)
        scripted.then("exec sleep 60")
        problems: list[str] = []

        async def replace() -> None:
            problems.append(await crew.replace(crew.posts[0], lambda new: None))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(replace)
            await eventually(lambda: len(scripted.started) == 3, 10)
            crew.leaving.set()
            crew.send_signal(signal.SIGTERM)
    assert problems == ["the gateway was told to leave"]
    assert crew.status == 0
