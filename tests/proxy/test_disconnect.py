"""Work beside a caller that may leave, told by a task that waits or by a call."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.errors import ClientGone, SendStalled
from gateway.proxy.disconnect import cancel_on_disconnect


class Waiting:
    """Leaves at `at`, or is dropped."""

    def __init__(self, at: float, end: Exception | None = None) -> None:
        self._at = at
        self._end = end

    async def wait_gone(self) -> None:
        await trio.sleep_until(self._at)
        if self._end is not None:
            raise self._end


class Calling(Waiting):
    """The same, by a call from a task of its own."""

    def __init__(self, at: float, end: Exception | None, nursery: trio.Nursery) -> None:
        super().__init__(at, end)
        self.call: Callable[[Exception], None] | None = None
        nursery.start_soon(self._leave)

    async def wait_gone(self) -> None:
        raise AssertionError("nothing has to wait")

    def when_gone(self, call: Callable[[Exception], None]) -> bool:
        self.call = call
        return True

    def stay(self) -> None:
        self.call = None

    async def _leave(self) -> None:
        await trio.sleep_until(self._at)
        if self.call is not None:
            self.call(self._end or ClientGone())


class Mute(Waiting):
    """Could call, but not now."""

    def when_gone(self, call: Callable[[Exception], None]) -> bool:
        return False


KINDS = ["waits", "calls", "cannot call"]


def caller(kind: str, nursery: trio.Nursery, at: float, end: Exception | None = None) -> Waiting:
    if kind == "calls":
        return Calling(at, end, nursery)
    return Mute(at, end) if kind == "cannot call" else Waiting(at, end)


@pytest.mark.parametrize("kind", KINDS)
async def test_work_is_done_if_nobody_leaves(kind: str, autojump_clock: MockClock) -> None:
    async def work() -> None:
        await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        client = caller(kind, nursery, 5)
        await cancel_on_disconnect(client, work)
        assert trio.current_time() == 1
        if isinstance(client, Calling):
            assert client.call is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", [None, SendStalled("took nothing")])
async def test_work_is_cancelled_when_the_caller_leaves(
    kind: str, end: SendStalled | None, autojump_clock: MockClock
) -> None:
    cleaned = 0.0

    async def work() -> None:
        nonlocal cleaned
        try:
            await trio.sleep(10)
        finally:
            cleaned = trio.current_time()

    async with trio.open_nursery() as nursery:
        client = caller(kind, nursery, 5, end)
        with pytest.raises(SendStalled if end else ClientGone):
            await cancel_on_disconnect(client, work)
        assert cleaned == trio.current_time() == 5


@pytest.mark.parametrize("kind", KINDS)
async def test_what_work_raises_comes_first(kind: str, autojump_clock: MockClock) -> None:
    async def work() -> None:
        try:
            await trio.sleep(10)
        finally:
            raise ValueError("of the work")

    async with trio.open_nursery() as nursery:
        client = caller(kind, nursery, 5)
        with pytest.raises(ValueError, match="of the work"):
            await cancel_on_disconnect(client, work)


@pytest.mark.parametrize("kind", KINDS)
async def test_cancelled_from_outside_it_says_nothing_of_the_caller(
    kind: str, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        client = caller(kind, nursery, 100)
        with trio.move_on_after(1) as scope:
            await cancel_on_disconnect(client, trio.sleep_forever)
        assert scope.cancelled_caught
        if isinstance(client, Calling):
            assert client.call is None
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_waits_for_the_garbage_collector(kind: str) -> None:
    class Body:
        pass

    kept: list[weakref.ref[Body]] = []

    async def serve(client: Waiting) -> None:
        body = Body()
        kept.append(weakref.ref(body))

        async def work() -> None:
            await wait_all_tasks_blocked()
            raise ValueError(str(body))

        with pytest.raises(ValueError, match="Body"):
            await cancel_on_disconnect(client, work)

    gc.disable()
    try:
        async with trio.open_nursery() as nursery:
            await serve(caller(kind, nursery, trio.current_time() + 1000))
            nursery.cancel_scope.cancel()
            assert kept[0]() is None
    finally:
        gc.enable()
