"""However many pages are open, the processes are asked once a second, and pages made once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.admin.controls.processes import KnownProcesses, told_processes
from gateway.admin.resources import Resources
from gateway.dashboard.live import processes
from gateway.dashboard.live.processes import MOST, OLDEST, ProcessFigures
from gateway.dashboard.rendering import Templates
from gateway.group.whole import Group
from tests.admin.world import World
from tests.dashboard.test_application import Site

PAGES = 12
SECONDS = 3.0


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the processes were asked what, and how often which part of a page was made."""
    found: Counter[str] = Counter()

    def count(owner: Any, name: str, key: Any) -> None:
        own = getattr(owner, name)

        def counting(self: Any, *given: Any) -> Any:
            found[key(*given)] += 1
            return own(self, *given)

        monkeypatch.setattr(owner, name, counting)

    count(Group, "states", lambda: "state")
    count(Group, "in_flight", lambda most, after: f"in flight, {most}")
    count(Templates, "render", lambda template, given: template)

    async def told(resources: Resources) -> KnownProcesses:
        found["told"] += 1
        return await told_processes(resources)

    monkeypatch.setattr(processes, "told_processes", told)
    return found


@pytest.mark.slow
async def test_open_pages_share_the_answers_and_what_is_made_of_them(
    asked: Counter[str],
) -> None:
    site = Site()
    site.lifecycle.ready()
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for number in range(PAGES):
            for path in ("overview", "in-flight", "in-flight?text=a"):
                nursery.start_soon(_open, site, f"/admin/live/{path}", number / PAGES * 2)
        await trio.sleep(SECONDS)
        # A busy machine takes longer to ask again.
        with trio.fail_after(30):
            while asked["state"] < 2:  # noqa: ASYNC110
                await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    seconds = trio.current_time() - began
    for what, each in asked.items():
        # What is under way is a place of the overview, and here of pages with two texts.
        pages = 3 if what == "parts/in_flight.html" else 1
        assert each <= pages * (seconds + 1), (what, each)


async def _open(site: Site, path: str, after: float) -> None:
    await trio.sleep(after)
    await site.ask(path, authorization="Bearer sk-admin")


async def test_an_answer_is_good_for_a_second_and_until_something_is_done(
    asked: Counter[str], autojump_clock: MockClock
) -> None:
    figures = ProcessFigures(World().api._resources)
    for _ in range(10):
        await figures.state()
        await figures.under_way(OLDEST)
        await figures.under_way(MOST)
    # The processes of all hosts are looked up once for both.
    assert asked == {"told": 1, "state": 1, f"in flight, {OLDEST}": 1, f"in flight, {MOST}": 1}
    figures.forget()
    await figures.state()
    assert asked["state"] == 2
    await trio.sleep(1.0)
    await figures.state()
    assert asked["state"] == 3
