"""Open pages look at the same moments, and end when the process begins to leave."""

from __future__ import annotations

from typing import Any

import trio
from starlette.types import Message
from trio.testing import MockClock

from gateway.dashboard.live.shared import SharedFigures
from gateway.dashboard.live.stream import EventStream, OpenPages
from gateway.lifecycle import Lifecycle

LOOK = 2.0
PAGES = 20


async def _never() -> Message:
    raise AssertionError("a page that is open reads no body")


async def test_what_pages_share_is_read_once_a_look_however_they_were_opened(
    autojump_clock: MockClock,
) -> None:
    lifecycle, shared = Lifecycle(), SharedFigures()
    lifecycle.ready()
    pages, reads = OpenPages(lifecycle), []
    events = dict.fromkeys(range(PAGES), 0)

    async def read() -> int:
        reads.append(trio.current_time())
        return len(reads)

    async def opened(number: int) -> None:
        async def next_event() -> tuple[str, Any]:
            return "update", await shared.get("what", LOOK / 2, read)

        async def send(message: Message) -> None:
            events[number] += b"event:" in message.get("body", b"")

        await trio.sleep(number * LOOK / PAGES)
        await EventStream(pages, next_event, LOOK)({}, _never, send)

    with trio.move_on_after(LOOK):
        await trio.sleep_forever()
    async with trio.open_nursery() as nursery:
        for number in range(PAGES):
            nursery.start_soon(opened, number)
        # All are open by then, and have had their first event.
        await trio.sleep(LOOK * 1.5)
        before, at_first = len(reads), dict(events)
        await trio.sleep(LOOK * 10)
        assert len(reads) - before == 10
        assert {events[each] - at_first[each] for each in events} == {10}
        ended = trio.current_time()
        lifecycle.retire()
    # None waits for its next look.
    assert trio.current_time() == ended
    assert pages.count == 0


async def test_a_page_that_is_opened_while_the_process_leaves_ends_at_once(
    autojump_clock: MockClock,
) -> None:
    lifecycle = Lifecycle()
    lifecycle.start_drain()
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def next_event() -> None:
        raise AssertionError

    await EventStream(OpenPages(lifecycle), next_event, LOOK)({}, _never, send)
    assert not sent[-1]["more_body"]
