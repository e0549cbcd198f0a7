"""Processes that ask each other, over real sockets."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from gateway.group.folder import Membership, group_directory
from gateway.group.listener import Listener
from gateway.group.process_state import ProcessState
from gateway.group.questions import (
    CancelledRequest,
    CancelQuestion,
    InFlightQuestion,
    OwnInFlight,
    StateQuestion,
)
from gateway.group.sisters import Sisters

from .states import process


class Scripted:
    """A respondent that answers what it was given."""

    def __init__(self, answer: Any) -> None:
        self.asked: list[Any] = []
        self._answer = answer

    def answer(self, question: Any) -> Any:
        self.asked.append(question)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.fixture
def folder() -> Iterator[Path]:
    with group_directory() as found:
        yield found


def place(folder: Path, number: int = 0, count: int = 2) -> Membership:
    return Membership(folder, number, count)


@asynccontextmanager
async def listening(path: Path, answer: Any) -> AsyncIterator[Any]:
    respondent: Any = Scripted(answer)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Listener(path, respondent).run)
        with trio.fail_after(30):
            while not os.path.exists(path):  # noqa: ASYNC110, ASYNC240  # nothing tells of it
                await trio.sleep(0.001)
            await trio.sleep(0.01)
        yield respondent
        nursery.cancel_scope.cancel()


async def test_a_question_is_answered_by_all_others(folder: Path) -> None:
    own = place(folder, 1, 3)
    state = process(pid=7)
    async with (
        listening(own.socket_of(0), state) as first,
        listening(own.socket_of(2), state),
        listening(own.own, state) as never,
    ):
        found, silent = await Sisters(own).ask(StateQuestion(), ProcessState, 5)
        assert (found, silent) == ({0: state, 2: state}, ())
        assert first.asked == [StateQuestion()]
        assert never.asked == []
        mode = stat.S_IMODE(os.stat(own.socket_of(0)).st_mode)
        assert mode == 0o600
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert os.listdir(folder) == []


async def test_questions_and_answers_arrive_as_they_are(folder: Path) -> None:
    own = place(folder)
    sisters = Sisters(own)
    async with listening(own.socket_of(1), OwnInFlight(3, [], 0)) as asked:
        question = InFlightQuestion(5, (12, "é\ud83d".encode("utf-8", "replace").decode()))
        found, _ = await sisters.ask(question, OwnInFlight, 5)
        assert (found, asked.asked) == ({1: OwnInFlight(3, [], 0)}, [question])
    async with listening(own.socket_of(1), [CancelledRequest("t", None)]) as asked:
        cancelled, _ = await sisters.ask(CancelQuestion("x"), list[CancelledRequest], 5)
        assert cancelled == {1: [CancelledRequest("t", None)]}


def nobody(folder: Path) -> None:
    del folder


def left_behind(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(place(folder).socket_of(1)))


@pytest.mark.parametrize("before", [nobody, left_behind])
async def test_one_that_is_dead_is_named(folder: Path, before: Callable[[Path], None]) -> None:
    before(folder)
    with trio.fail_after(10):
        found = await Sisters(place(folder)).ask(StateQuestion(), ProcessState, 30)
    assert found == ({}, (1,))
    # Its successor takes its place.
    async with listening(place(folder).socket_of(1), process()):
        found = await Sisters(place(folder)).ask(StateQuestion(), ProcessState, 5)
        assert found == ({1: process()}, ())


@pytest.mark.measured
async def test_one_that_hangs_is_waited_for_so_long_and_no_longer(folder: Path) -> None:
    own = place(folder, 0, 3)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(own.socket_of(1)))
        sock.listen(1)
        async with listening(own.socket_of(2), process()):
            began = trio.current_time()
            found, silent = await Sisters(own).ask(StateQuestion(), ProcessState, 0.25)
            assert trio.current_time() - began < 5
            assert (list(found), silent) == ([2], (1,))


@pytest.mark.parametrize(
    "answer", [ValueError("a mistake"), {"pid": "nonsense"}, OwnInFlight(3, [], 0)]
)
async def test_an_answer_that_makes_no_sense_is_none(folder: Path, answer: Any) -> None:
    own = place(folder)
    async with listening(own.socket_of(1), answer):
        for _ in range(2):
            found = await Sisters(own).ask(StateQuestion(), ProcessState, 5)
            assert found == ({}, (1,))


@pytest.mark.parametrize("data", [b"", b"{}", b'{"type":"what"}', b"\xff" * 100, b"x" * 70_000])
async def test_a_question_that_makes_no_sense_hurts_nobody(folder: Path, data: bytes) -> None:
    path = place(folder).socket_of(1)
    async with listening(path, process()) as asked:
        stream = await trio.open_unix_socket(str(path))
        async with stream:
            await stream.send_all(data)
            await stream.send_eof()
            try:
                assert await stream.receive_some() == b""
            except trio.BrokenResourceError:
                assert len(data) > 65_536
        assert asked.asked == []
        found, _ = await Sisters(place(folder)).ask(StateQuestion(), ProcessState, 5)
        assert list(found) == [1]


async def test_a_folder_that_is_gone_is_no_end(folder: Path) -> None:
    respondent: Any = Scripted(None)
    await Listener(folder / "no" / "1.sock", respondent).run()


def test_a_long_name_of_the_temporary_folder_is_gone_past(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(long))
    with group_directory() as found, socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(Membership(found, 999, 1000).own))
    assert not found.exists()
