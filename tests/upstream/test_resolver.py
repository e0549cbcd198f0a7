"""Names, with a scripted `getaddrinfo` in real threads; time passes only where a test lets it."""

from __future__ import annotations

import errno
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.upstream import resolver
from gateway.upstream.resolver import (
    ANSWER_SECONDS,
    FAILURE_SECONDS,
    SLOW_SECONDS,
    STALE_AFTER,
    STALE_SECONDS,
    Resolver,
)

PATIENCE = 10


def address(last: int, port: int = 0) -> tuple[Any, ...]:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"192.0.2.{last}", port))


class Names:
    """Answers as `answers` say; a name in `silent` hangs until `released`."""

    def __init__(self, *silent: bytes) -> None:
        self.asked: Counter[bytes] = Counter()
        self.ports: set[object] = set()
        self.answers: dict[bytes, Callable[[], list[Any]]] = {}
        self.silent = set(silent)
        self.released = threading.Event()

    def __call__(self, host: bytes, port: object, *_: int) -> list[Any]:
        self.asked[host] += 1
        self.ports.add(port)
        if host in self.silent:
            self.released.wait(60)
        answer = self.answers.get(host)
        return [address(1), address(2)] if answer is None else answer()


@pytest.fixture
def names() -> Iterator[Names]:
    found = Names(*(b"silent%d" % number for number in range(100)))
    yield found
    found.released.set()


def failing(error: Exception) -> Callable[[], list[Any]]:
    def fail() -> list[Any]:
        raise error

    return fail


async def asks(found: Resolver, host: bytes, port: int = 443) -> list[Any]:
    with trio.fail_after(PATIENCE):
        return await found.getaddrinfo(host, port)


async def test_the_addresses_are_those_of_getaddrinfo_with_the_port(names: Names) -> None:
    found = Resolver(names)
    assert await asks(found, b"a", 443) == [address(1, 443), address(2, 443)]
    six = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 0, 0, 2))
    names.answers[b"six"] = lambda: [six]
    assert (await asks(found, b"six", 80))[0][4] == ("fe80::1", 80, 0, 2)
    # A list of the caller's own: Trio puts it into another order.
    (await asks(found, b"a")).clear()
    assert await asks(found, b"a", 80) == [address(1, 80), address(2, 80)]
    # Several ports are one name.
    assert names.asked == {b"a": 1, b"six": 1}


async def test_the_real_one_knows_the_hosts_file() -> None:
    found = Resolver()
    with trio.fail_after(PATIENCE):
        reached = await found.getaddrinfo(b"localhost", 80, type=socket.SOCK_STREAM)
    assert {each[4][0] for each in reached} <= {"127.0.0.1", "::1"}
    assert {each[4][1] for each in reached} == {80}


async def test_one_silent_name_takes_one_thread_and_keeps_no_other_waiting(names: Names) -> None:
    found = Resolver(names, threads=2)
    async with trio.open_nursery() as nursery:
        for _ in range(60):
            nursery.start_soon(found.getaddrinfo, b"silent0", 443)
        await wait_all_tasks_blocked()
        for number in range(166):
            assert await asks(found, b"well%d" % number)
        assert names.asked[b"silent0"] == 1
        nursery.cancel_scope.cancel()


async def test_who_no_longer_waits_holds_up_no_other(names: Names) -> None:
    found = Resolver(names, threads=2)
    # Requests come and give up, again and again.
    for _ in range(10):
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(found.getaddrinfo, b"silent0", 443)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert await asks(found, b"well")
    # It is asked for in a thread, which may be late.
    with trio.fail_after(30):
        while b"silent0" not in names.asked:  # noqa: ASYNC110
            await trio.sleep(0.01)
    assert names.asked == {b"silent0": 1, b"well": 1}
    # The look-up goes on without them, and who comes next shares it.
    async with trio.open_nursery() as nursery:
        nursery.start_soon(asks, found, b"silent0")
        await wait_all_tasks_blocked()
        names.released.set()
    assert names.asked[b"silent0"] == 1


async def test_what_none_waits_for_any_more_is_not_begun(names: Names) -> None:
    found = Resolver(names, threads=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(found.getaddrinfo, b"silent0", 443)
        await wait_all_tasks_blocked()
        with trio.move_on_after(0.01):
            await found.getaddrinfo(b"left", 443)
        nursery.start_soon(asks, found, b"stays")
        await wait_all_tasks_blocked()
        names.released.set()
    assert names.asked == {b"silent0": 1, b"stays": 1}


async def test_more_silent_names_than_threads_wait_in_the_order_they_came(names: Names) -> None:
    found = Resolver(names, threads=3)
    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(asks, found, b"silent%d" % number)
            await wait_all_tasks_blocked()
        assert repr(found) == "<Resolver 3 running, 2 waiting, 0 kept>"
        names.released.set()
    assert repr(found) == "<Resolver 0 running, 0 waiting, 5 kept>"


@pytest.mark.measured
async def test_many_silent_names_keep_no_other_waiting_for_long(names: Names) -> None:
    found = Resolver(names, threads=4)
    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(found.getaddrinfo, b"silent%d" % number, 443)
        await wait_all_tasks_blocked()
        began = trio.current_time()
        assert await asks(found, b"well")
        # Ten are three times four.
        assert trio.current_time() - began < 3 * SLOW_SECONDS + 1
        nursery.cancel_scope.cancel()
    names.released.set()


async def test_names_that_were_slow_take_their_own_threads_the_next_time(
    names: Names, mock_clock: MockClock
) -> None:
    found = Resolver(names, threads=2)
    silent = [b"silent%d" % number for number in range(5)]

    async def ask_all() -> None:
        async with trio.open_nursery() as nursery:
            for name in silent:
                nursery.start_soon(found.getaddrinfo, name, 443)
                await wait_all_tasks_blocked()
                mock_clock.jump(SLOW_SECONDS)
            for _ in silent:
                mock_clock.jump(SLOW_SECONDS)
                await wait_all_tasks_blocked()
            assert len(found._running) == 5
            names.released.set()

    await ask_all()
    names.released.clear()
    mock_clock.jump(ANSWER_SECONDS + STALE_SECONDS)
    async with trio.open_nursery() as nursery:
        for name in silent:
            nursery.start_soon(found.getaddrinfo, name, 443)
        await wait_all_tasks_blocked()
        assert len(found._running) == 2
        # At once, and as many as there are threads for.
        await found.getaddrinfo(b"well0", 443)
        await found.getaddrinfo(b"well1", 443)
        names.released.set()


async def test_threads_are_bounded_however_many_names_are_silent(
    names: Names, mock_clock: MockClock
) -> None:
    found = Resolver(names, threads=2)
    async with trio.open_nursery() as nursery:
        for number in range(30):
            nursery.start_soon(found.getaddrinfo, b"silent%d" % number, 443)
        for _ in range(30):
            await wait_all_tasks_blocked()
            mock_clock.jump(SLOW_SECONDS)
        assert len(found._running) == 8
        names.released.set()
    assert len(found._kept) == 30


async def test_with_the_name_server_away_the_last_answer_holds(
    names: Names, mock_clock: MockClock
) -> None:
    found = Resolver(names)
    last = await found.getaddrinfo(b"a", 443)
    names.answers[b"a"] = failing(socket.gaierror(socket.EAI_AGAIN, "temporary"))
    for _ in range(3):
        mock_clock.jump(ANSWER_SECONDS)
        assert await found.getaddrinfo(b"a", 443) == last
    assert names.asked[b"a"] == 4
    # What it says counts, also if that is nothing.
    names.answers[b"a"] = failing(socket.gaierror(socket.EAI_NONAME, "unknown"))
    mock_clock.jump(FAILURE_SECONDS)
    with pytest.raises(socket.gaierror, match="unknown"):
        await found.getaddrinfo(b"a", 443)


async def test_an_old_answer_does_not_hold_for_ever(names: Names, mock_clock: MockClock) -> None:
    found = Resolver(names)
    await found.getaddrinfo(b"a", 443)
    names.answers[b"a"] = failing(socket.gaierror(socket.EAI_AGAIN, "temporary"))
    mock_clock.jump(ANSWER_SECONDS + STALE_SECONDS)
    with pytest.raises(socket.gaierror, match="temporary"):
        await found.getaddrinfo(b"a", 443)


@pytest.mark.measured
async def test_a_name_server_that_falls_silent_delays_a_known_name_shortly(names: Names) -> None:
    found = Resolver(names)
    last = await asks(found, b"a")
    found._kept[b"a", None, 0, 0, 0, 0].until = trio.current_time()
    names.silent.add(b"a")
    began = trio.current_time()
    assert await asks(found, b"a") == last
    assert STALE_AFTER <= trio.current_time() - began < STALE_AFTER + 2
    names.released.set()


async def test_whatever_a_look_up_raises_is_a_failed_one(names: Names) -> None:
    found = Resolver(names)
    names.answers[b"odd"] = failing(ValueError("embedded null byte"))
    with pytest.raises(socket.gaierror, match="embedded null byte"):
        await found.getaddrinfo(b"odd", 443)


async def test_equal_questions_at_a_time_are_one(names: Names) -> None:
    found = Resolver(names)
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(asks, found, b"a")
    assert names.asked == {b"a": 1}


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (lambda: [address(1)], ANSWER_SECONDS),
        (failing(socket.gaierror(socket.EAI_NONAME, "unknown")), FAILURE_SECONDS),
        (failing(socket.gaierror(socket.EAI_AGAIN, "temporary")), FAILURE_SECONDS),
        (failing(UnicodeError("label too long")), FAILURE_SECONDS),
    ],
    ids=["answer", "unknown", "temporary", "idna"],
)
async def test_what_was_found_is_kept_for_seconds(
    answer: Callable[[], list[Any]], seconds: float, names: Names, mock_clock: MockClock
) -> None:
    found = Resolver(names)
    names.answers[b"a"] = answer

    async def ask() -> object:
        try:
            return len(await found.getaddrinfo(b"a", 443))
        except (OSError, UnicodeError) as exc:
            return repr(exc)

    first = await ask()
    for _ in range(3):
        mock_clock.jump(seconds / 3 - 0.01)
        assert await ask() == first
    assert names.asked[b"a"] == 1
    mock_clock.jump(0.04)
    assert await ask() == first
    assert names.asked[b"a"] == 2


async def test_each_who_asks_gets_an_exception_of_its_own(names: Names) -> None:
    found = Resolver(names)
    names.answers[b"a"] = failing(socket.gaierror(socket.EAI_NONAME, "unknown"))
    caught = []
    for _ in range(2):
        with pytest.raises(socket.gaierror, match="unknown") as error:
            await asks(found, b"a")
        caught.append(error.value)
    assert caught[0] is not caught[1]
    assert caught[0].errno == socket.EAI_NONAME


async def test_a_shortage_of_ours_is_not_kept(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    found = Resolver(names)
    # What glibc says when it can open neither the hosts file nor a socket.
    names.answers[b"a"] = failing(socket.gaierror(socket.EAI_AGAIN, "temporary failure"))
    with monkeypatch.context() as patch:
        patch.setattr(resolver, "check_descriptors", none_left)
        with pytest.raises(OSError, match="Too many open files"):
            await asks(found, b"a")
    del names.answers[b"a"]
    assert await asks(found, b"a")


async def test_a_thread_that_cannot_be_started_is_a_shortage_of_ours(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    found = Resolver(names, threads=1)
    with monkeypatch.context() as patch:
        patch.setattr(trio.lowlevel, "start_thread_soon", none_left)
        with pytest.raises(OSError, match="can't start new thread") as caught:
            await asks(found, b"a")
    assert caught.value.errno == errno.ENOMEM
    assert await asks(found, b"a")


async def test_names_that_are_over_are_forgotten(
    names: Names, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver, "MOST_KEPT", 10)
    found = Resolver(names)
    for number in range(10):
        await found.getaddrinfo(b"n%d" % number, 443)
    mock_clock.jump(ANSWER_SECONDS)
    await found.getaddrinfo(b"another", 443)
    assert repr(found) == "<Resolver 0 running, 0 waiting, 1 kept>"


def test_a_silent_name_does_not_keep_the_process_from_its_end(names: Names) -> None:
    async def main() -> None:
        with trio.move_on_after(0.05):
            await Resolver(names).getaddrinfo(b"silent0", 443)

    trio.run(main)
    # Its thread delivers to a loop that is gone.
    names.released.set()
