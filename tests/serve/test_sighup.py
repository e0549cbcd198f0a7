from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from gateway.serve.sighup import SighupReloads


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    handler = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, handler)


class Reloads:
    """Reloads that end when told to."""

    def __init__(self) -> None:
        self.causes: list[str] = []
        self.end, self._ended = trio.open_memory_channel[None](10)

    async def __call__(self, cause: str) -> None:
        self.causes.append(cause)
        await self._ended.receive()


async def test_every_hangup_is_followed_by_a_reload_and_never_by_two_at_once() -> None:
    reloads = Reloads()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(SighupReloads(reloads).obey)
        await trio.testing.wait_all_tasks_blocked()
        assert reloads.causes == []
        for rounds in (1, 2):
            signal.raise_signal(signal.SIGHUP)
            await trio.testing.wait_all_tasks_blocked()
            assert reloads.causes == ["SIGHUP"] * rounds
            if rounds == 1:
                reloads.end.send_nowait(None)
        for _ in range(3):
            signal.raise_signal(signal.SIGHUP)
            await trio.testing.wait_all_tasks_blocked()
        assert len(reloads.causes) == 2
        for _ in range(2):
            reloads.end.send_nowait(None)
        await trio.testing.wait_all_tasks_blocked()
        assert len(reloads.causes) == 3
        nursery.cancel_scope.cancel()


async def test_a_hangup_before_anybody_obeys_is_not_lost() -> None:
    reloads = Reloads()
    hangups = SighupReloads(reloads)
    signal.raise_signal(signal.SIGHUP)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hangups.obey)
        await trio.testing.wait_all_tasks_blocked()
        assert reloads.causes == ["SIGHUP"]
        # One that comes with nobody left to serve it does not kill the process.
        signal.raise_signal(signal.SIGHUP)
        nursery.cancel_scope.cancel()
    signal.raise_signal(signal.SIGHUP)


async def test_another_thread_than_the_main_one_has_no_signals() -> None:
    before = signal.getsignal(signal.SIGHUP)

    def run() -> None:
        trio.run(SighupReloads(Reloads()).obey)

    await trio.to_thread.run_sync(run)
    assert signal.getsignal(signal.SIGHUP) is before
