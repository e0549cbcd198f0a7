"""Connections on which nothing is said make room for others."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from gateway.serve.entry.idle import SHARE, CrowdedRoom, Presence, close_longest_idle

from ..harness import echo, visit


def present(room: CrowdedRoom, host: str, since: float | None, woken: list[str]) -> Presence:
    found = Presence(lambda: woken.append(host))
    found.host, found.idle_since = host, since
    room.enter(found)
    return found


async def test_those_that_have_been_idle_for_longest_go_first() -> None:
    room, woken = CrowdedRoom(), list[str]()
    for number, since in enumerate([5.0, None, 1.0, 3.0, None]):
        present(room, f"h{number}", since, woken)
    assert close_longest_idle(room._present, 2) == 2
    assert woken == ["h2", "h3"]
    # Which have been dismissed already.
    assert close_longest_idle(room._present, 2) == 1
    assert woken == ["h2", "h3", "h0"]
    assert close_longest_idle(room._present, 2) == 0


async def test_there_is_room_for_as_many_as_may_be_and_no_busy_one_goes() -> None:
    room, woken = CrowdedRoom(), list[str]()
    found = [present(room, f"h{number}", None, woken) for number in range(100)]
    assert room.has_room("new", 101)
    assert not room.has_room("new", 100)
    found[7].idle_since = 1.0
    assert room.has_room("new", 100)
    assert woken == ["h7"]
    room.leave(found[7])
    assert room.has_room("new", 100)


async def test_no_address_has_all() -> None:
    room, woken = CrowdedRoom(), list[str]()
    share = int(100 * SHARE)
    found = [present(room, "greedy", None, woken) for _ in range(share)]
    assert not room.has_room("greedy", 100)
    assert room.has_room("other", 100)
    present(room, "other", 1.0, woken)
    found[3].idle_since = 2.0
    # Its own idle one goes, not another's.
    assert room.has_room("greedy", 100)
    assert woken == ["greedy"]
    for each in found:
        room.leave(each)
    assert len(room) == 1
    assert room._of_host == {"other": 1}


@pytest.mark.parametrize("asked", [False, True])
async def test_a_connection_that_is_idle_is_closed(autojump_clock: MockClock, asked: bool) -> None:
    async with visit(echo) as guest:
        if asked:
            await guest.client.send_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            assert (await guest.client.receive_some()).startswith(b"HTTP/1.1 200 ")
        await trio.testing.wait_all_tasks_blocked()
        (presence,) = guest.connections.room._present
        assert presence.idle_since is not None
        presence.dismiss()
        with trio.fail_after(30):
            assert await guest.client.receive_some() == b""
        await trio.testing.wait_all_tasks_blocked()
        assert len(guest.connections.room) == 0
