"""The stream itself, against a server that is played over TCP."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing
from coredis.exceptions import (
    AuthorizationError,
    BusyLoadingError,
    MovedError,
    NoScriptError,
    ResponseError,
)

from gateway.core.limits.operations import StoreFailed
from gateway.state.redis import pipelined
from gateway.state.redis.pipelined import packed

from ...rounds import swept
from .scripted import SUBSCRIBED, Wire, published, wire

# What a server may say, and what is to be found in it.
REPLIES: list[tuple[bytes, Any]] = [
    (b"+OK\r\n", b"OK"),
    (b"$7\r\na\r\nb\r\n\r\r\n", b"a\r\nb\r\n\r"),
    (b"$0\r\n\r\n", b""),
    (b"_\r\n", None),
    (b":-7\r\n", -7),
    (b"*3\r\n$1\r\nx\r\n*1\r\n:2\r\n*0\r\n", [b"x", [2], []]),
    (b"%1\r\n+a\r\n$1\r\nb\r\n", {b"a": b"b"}),
]


async def all_ask(nursery: trio.Nursery, near: Wire, many: int) -> None:
    """Ask so many questions, in order, and have the server read them."""
    near.answers.clear()
    commands = [packed(b"ECHO", number) for number in range(many)]
    for number, command in enumerate(commands):
        # Each begins before the next one does: tasks of one pass run in any order.
        nursery.start_soon(near.ask, number, command)
        await trio.testing.wait_all_tasks_blocked()
    assert await near.read(sum(map(len, commands))) == b"".join(commands)


def same(found: Sequence[Any]) -> None:
    assert list(found) == [value for _, value in REPLIES]


async def test_answers_in_any_pieces_reach_who_asked() -> None:
    data = b"".join(raw for raw, _ in REPLIES)
    pieces = [[data], [data[at : at + 1] for at in range(len(data))]]
    pieces += [[data[:cut], data[cut:]] for cut in swept(len(data) - 1, 0, every=5)]
    async with wire() as near, trio.open_nursery() as nursery:
        for each in pieces:
            await all_ask(nursery, near, len(REPLIES))
            for piece in each:
                await near.far.send_all(piece)
                await trio.testing.wait_all_tasks_blocked()
            same(await near.answered(len(REPLIES)))
        assert not near.stream._questions


@pytest.mark.parametrize("given_up", range(len(REPLIES)))
@pytest.mark.parametrize("when", ["before", "waiting", "with the answer", "in its middle"])
async def test_a_question_that_is_given_up_shifts_no_answer(given_up: int, when: str) -> None:
    scope = trio.CancelScope()
    outcomes: list[str] = []
    data = b"".join(raw for raw, _ in REPLIES)

    async with wire() as near, trio.open_nursery() as nursery:

        async def ask(number: int) -> None:
            command = packed(b"ECHO", number)
            with scope if number == given_up else trio.CancelScope():
                if number == given_up and when == "before":
                    scope.cancel()
                await near.ask(number, command)
            if number == given_up:
                outcomes.append("given up" if scope.cancelled_caught else "answered")

        for number in range(len(REPLIES)):
            nursery.start_soon(ask, number)
            await trio.testing.wait_all_tasks_blocked()
        await near.read(sum(len(packed(b"ECHO", n)) for n in range(len(REPLIES))))
        middle = len(b"".join(raw for raw, _ in REPLIES[:given_up])) + 2
        if when == "waiting":
            scope.cancel()
            await near.far.send_all(data)
        elif when == "with the answer":
            # Both before the task that asked runs again.
            scope.cancel()
            near.stream._take(data)
        elif when == "in its middle":
            near.stream._take(data[:middle])
            scope.cancel()
            await trio.testing.wait_all_tasks_blocked()
            await near.far.send_all(data[middle:])
        else:
            await near.far.send_all(data)
        with trio.fail_after(30):
            while len(near.answers) < len(REPLIES) - 1 or not outcomes:  # noqa: ASYNC110
                await trio.sleep(0.001)
        assert outcomes == ["given up"]
        near.answers[given_up] = REPLIES[given_up][1]
        same(await near.answered(len(REPLIES)))


async def test_an_answer_that_was_there_first_is_had() -> None:
    async with wire() as near, trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(near.ask, 1, packed(b"PING"))
            await near.read(len(packed(b"PING")))

            async def answer() -> None:
                near.stream._take(b"+A\r\n+B\r\n")
                scope.cancel()

            nursery.start_soon(answer)
            await near.ask(0, packed(b"PING"))
        assert not scope.cancelled_caught
        assert sorted(await near.answered(2)) == [b"A", b"B"]


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"-ERR wrong number of arguments\r\n", ResponseError),
        (b"-NOSCRIPT No matching script\r\n", NoScriptError),
        (b"-LOADING loading the dataset\r\n", BusyLoadingError),
        (b"-MOVED 1234 127.0.0.1:7001\r\n", MovedError),
        (b"-NOPERM no permissions\r\n", AuthorizationError),
        (b"-\r\n", ResponseError),
    ],
)
async def test_an_error_is_of_who_asked_alone(raw: bytes, kind: type[Exception]) -> None:
    async with wire() as near, trio.open_nursery() as nursery:
        await all_ask(nursery, near, 3)
        await near.far.send_all(b"+A\r\n" + raw + b"+C\r\n")
        before, failed, behind = await near.answered(3)
        assert (before, behind) == (b"A", b"C")
        assert type(failed) is kind
        await all_ask(nursery, near, 1)
        await near.far.send_all(b"+D\r\n")
        assert await near.answered(1) == [b"D"]


async def test_what_is_published_between_answers_is_heard_in_order() -> None:
    async with wire() as near, trio.open_nursery() as nursery:
        await all_ask(nursery, near, 3)
        burst = (
            published(b"1"),
            b"+A\r\n",
            published(b"2"),
            SUBSCRIBED,
            published(b"3"),
            b":3\r\n",
        )
        data = b"".join((*burst, b">2\r\n$10\r\ninvalidate\r\n_\r\n", published(b"4")))
        for at in range(0, len(data), 7):
            await near.far.send_all(data[at : at + 7])
        assert await near.answered(3) == [b"A", [b"subscribe", b"c", 1], 3]
        await near.far.send_all(published(b"5"))
        with trio.fail_after(30):
            while len(near.heard) < 5:  # noqa: ASYNC110
                await trio.sleep(0.001)
        assert near.heard == [b"1", b"2", b"3", b"4", b"5"]
        assert not near.stream.lost


@pytest.mark.parametrize("encrypted", [False, True])
async def test_more_than_goes_at_once_is_sent_in_order(encrypted: bool) -> None:
    """Also more than a record of TLS has, many at a time."""
    commands = [packed(b"SET", number, bytes([65 + number]) * 200_000) for number in range(20)]
    async with wire(encrypted=encrypted) as near, trio.open_nursery() as nursery:
        for number, command in enumerate(commands):
            nursery.start_soon(near.ask, number, command)
            await trio.testing.wait_all_tasks_blocked()
        assert await near.read(sum(map(len, commands))) == b"".join(commands)
        await near.far.send_all(b"".join(b":%d\r\n" % number for number in range(20)))
        assert await near.answered(20) == list(range(20))
        # And as much comes back.
        await all_ask(nursery, near, 1)
        await near.far.send_all(b"$2000000\r\n" + bytes(2_000_000) + b"\r\n")
        assert await near.answered(1) == [bytes(2_000_000)]


async def test_what_waits_to_be_sent_is_overtaken_by_nothing() -> None:
    async with wire() as near:
        sent = 0
        while not near.stream._unsent:
            near.stream._send(b"a" * 100_000)
            sent += 100_000
        # There is room again, and nothing has been told yet that it may be used.
        got = os.read(near.below.socket.fileno(), 1_000_000)
        near.stream._send(b"b")
        assert await near.read(sent + 1 - len(got)) == b"a" * (sent - len(got)) + b"b"


@pytest.mark.parametrize("encrypted", [False, True])
async def test_of_a_server_that_takes_nothing_who_waits_is_told(
    encrypted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelined, "_MOST", 300_000)
    command = packed(b"SET", b"k", bytes(100_000))
    async with wire(encrypted=encrypted) as near, trio.open_nursery() as nursery:
        asked = 0
        # What the kernel takes first is some megabytes.
        while not near.stream.lost and asked < 1_000:
            nursery.start_soon(near.ask, asked, command)
            asked += 1
            await trio.testing.wait_all_tasks_blocked()
            assert len(near.stream._unsent) <= 300_000
        found = await near.answered(asked)
        assert {str(each) for each in found} == {"the server takes nothing any more"}
        assert all(type(each) is StoreFailed for each in found)


BROKEN = [
    (b"+A\r\n$5\r\nab", "close", "the server has closed the connection"),
    (b"+A\r\n", "close", "the server has closed the connection"),
    (b"+A\r\n$5\r\nab", "reset", "reset by peer"),
    (b"+A\r\nHTTP/1.1 400 Bad Request\r\n\r\n", "", "Unknown RESP data type: 'H'"),
    (b"+A\r\n\r\n", "", "not keep to the protocol"),
    (b"+A\r\n$x\r\n", "", "not keep to the protocol"),
    (b"+A\r\n-\xff\r\n", "", "not keep to the protocol"),
    (b"+A\r\n>0\r\n", "", "not keep to the protocol"),
    (b"+A\r\n#\r\n", "", "not keep to the protocol"),
]


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize(("raw", "end", "why"), BROKEN)
async def test_a_connection_that_breaks_is_said_to_be_so(
    encrypted: bool, raw: bytes, end: str, why: str
) -> None:
    async with wire(encrypted=encrypted) as near, trio.open_nursery() as nursery:
        await all_ask(nursery, near, 3)
        await near.far.send_all(raw)
        assert await near.answered(1) == [b"A"]
        if end == "reset":
            near.reset()
        elif end == "close":
            near.below.socket.close()
        first, *others = await near.answered(3)
        assert first == b"A"
        # Later ones are told the same.
        await near.ask(3, packed(b"PING"))
        for each in (*others, near.answers[3]):
            assert type(each) is StoreFailed
            assert why in str(each)


async def test_an_answer_to_nothing_ends_the_connection() -> None:
    async with wire() as near, trio.open_nursery() as nursery:
        await all_ask(nursery, near, 1)
        await near.far.send_all(b"+A\r\n+B\r\n")
        assert await near.answered(1) == [b"A"]
        with trio.fail_after(30):
            while not near.stream.lost:  # noqa: ASYNC110
                await trio.sleep(0.001)
        await near.ask(1, packed(b"PING"))
        assert "an answer to nothing that was asked" in str(near.answers[1])


async def test_whoever_waits_when_it_is_closed_is_told() -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    answers: dict[int, Any] = {}
    async with trio.open_nursery() as nursery, wire() as near:
        answers = near.answers
        for number in range(3):
            nursery.start_soon(near.ask, number, packed(b"PING"))
        await near.read(3 * len(packed(b"PING")))
    assert [str(each) for each in answers.values()] == ["the connection is closed"] * 3
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before
