"""Workers that an earlier program of the same process has started."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Final

import msgspec
import trio

from gateway.serve.crew.adopted import (
    AdoptedProcess,
    HandedMember,
    adopted,
    descriptors_of,
    handed,
)
from gateway.serve.crew.crew import Crew

from .workers import Scripted, all_ready, crew_of

PATIENCE: Final = 20


async def test_the_status_of_a_child_is_known_however_it_ends() -> None:
    for script, status in (("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", -signal.SIGTERM)):
        child = subprocess.Popen(["sh", "-c", script])  # noqa: ASYNC220, S603, S607  # as a worker is
        process = AdoptedProcess(child.pid)
        with trio.fail_after(PATIENCE):
            assert await process.wait() == status
            # Known for good, and its number is nobody's to be signalled any more.
            assert await process.wait() == status
        process.send_signal(signal.SIGKILL)
        process.kill()
        child.returncode = status  # it is collected already


async def test_a_child_is_signalled_while_it_is_waited_for() -> None:
    child = subprocess.Popen(["sleep", "60"])  # noqa: ASYNC220, S607
    process = AdoptedProcess(child.pid)
    with trio.fail_after(PATIENCE):
        with trio.move_on_after(0.05):
            await process.wait()
        assert process.returncode is None
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == -signal.SIGTERM
    child.returncode = process.returncode


async def test_a_crew_goes_on_with_workers_that_are_there() -> None:
    """As after `execve`: the descriptors stay, all that the old crew knew is handed over."""
    scripted = Scripted()
    async with crew_of(2, scripted) as old:
        before = await all_ready(old)
        members = [post.member for post in old.posts if post.member is not None]
        said = [*handed(old.members, members)]
        assert all(each.ready and each.words is None and each.at_post for each in said)
        assert sorted(descriptors_of(said)) == sorted(each.lifeline for each in members)
        # The old one lets go of nothing, so that its own end closes none of them.
        said = [*map(_doubled, said)]
        crew = Crew(scripted, [], 2, 5.0, on_started=scripted.started.append)
        crew.adopt(map(adopted, said), {each.pid for each in said})
        with trio.fail_after(PATIENCE):
            await crew.all_ready()
        assert [post.member.pid for post in crew.posts if post.member] == before
        assert [each.version for each in crew.members] == ["1.0", "1.0"]
        for each in crew.members:
            os.close(each.lifeline)


def _doubled(member: HandedMember) -> HandedMember:
    return msgspec.structs.replace(member, lifeline=os.dup(member.lifeline))


async def test_one_that_was_starting_is_heard_when_it_is_ready() -> None:
    words_read, words_write = os.pipe()
    life_read, life_write = os.pipe()
    script = f"read -r _ <&{life_read}; printf 'ready 2.0\\n' >&{words_write}; exit 0"
    child = subprocess.Popen(  # noqa: ASYNC220, S603
        ["bash", "-c", script],  # noqa: S607
        pass_fds=(life_read, words_write),
    )
    os.close(words_write)
    os.close(life_read)
    member = adopted(
        HandedMember(
            number=0, pid=child.pid, lifeline=life_write, words=words_read, ready=False, version=""
        )
    )
    assert not member.ready.is_set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(member.run)
        os.write(life_write, b"\n")
        with trio.fail_after(PATIENCE):
            await member.left.wait()
    assert (member.ready.is_set(), member.version, member.code) == (True, "2.0", 0)
    child.returncode = 0
