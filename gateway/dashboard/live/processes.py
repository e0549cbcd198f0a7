"""What the processes of the gateway say, asked once a second for all open pages.

A page that is open asks every two seconds, and people open many. So each question is asked at most
once a second, however many pages there are and whatever they show of the answer.
"""

from __future__ import annotations

from typing import Any, Final

from ...admin.controls.processes import KnownProcesses, told_processes
from ...admin.in_flight import InFlightList, exchanges
from ...admin.resources import Resources
from ...admin.status import group_state
from .shared import SharedFigures

# Seconds for which an answer is good, and a page that is made of it.
GOOD: Final = 1.0
# The overview shows the oldest few of what is under way, the page of all so many of as many.
OLDEST: Final = 8
SHOWN: Final = 200
MOST: Final = 2000


class ProcessFigures:
    """`parts` are what pages are made of it, for those who see the same."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._answers = SharedFigures()
        self.parts: Final = SharedFigures()

    async def state(self) -> dict[str, Any]:
        """Return how the group is, as pages show it."""

        async def read() -> dict[str, Any]:
            return await group_state(self._resources, await self._told())

        found: dict[str, Any] = await self._answers.get("state", GOOD, read)
        return found

    async def under_way(self, most: int) -> InFlightList:
        """Return the oldest requests under way; `most` is OLDEST, SHOWN or MOST."""

        async def read() -> InFlightList:
            return await exchanges(self._resources, most, told=await self._told())

        found: InFlightList = await self._answers.get(most, GOOD, read)
        return found

    async def _told(self) -> KnownProcesses:
        """Return what both are made of: one look into the database, or the server of [state]."""

        async def read() -> KnownProcesses:
            return await told_processes(self._resources)

        found: KnownProcesses = await self._answers.get("told", GOOD, read)
        return found

    def forget(self) -> None:
        """Have all asked again: something was done, and whoever did it wants to see it."""
        self._answers.forget()
        self.parts.forget()
