"""The answers of all processes of the gateway, this one's own among them."""

from __future__ import annotations

from typing import Generic, TypeVar, cast

import msgspec

from ..core.processes import ProcessDrain
from .exports import ExportProgress
from .merging import GroupState, merged
from .process_state import ProcessState
from .questions import (
    CancelledRequest,
    CancelQuestion,
    DrainQuestion,
    ExportQuestion,
    InFlightQuestion,
    OwnInFlight,
    Question,
    StateQuestion,
)
from .respondent import Respondent
from .sisters import ACT_PATIENCE, PATIENCE, Sisters

T = TypeVar("T")


class Answers(msgspec.Struct, Generic[T], frozen=True):
    """What the processes said, this one first; `silent` are the workers that said nothing."""

    found: list[T]
    silent: tuple[int, ...] = ()


class Group:
    """`sisters` is None for a process that is alone."""

    def __init__(self, own: Respondent, sisters: Sisters | None = None) -> None:
        self._own = own
        self._sisters = sisters

    def __repr__(self) -> str:
        return f"<Group {self._own!r}, {self._sisters!r}>"

    async def state(self) -> GroupState:
        """Return how the group is."""
        answers = await self.states()
        return merged(answers.found, answers.silent)

    async def in_flight(
        self, limit: int, after: tuple[int, str] | None = None
    ) -> Answers[OwnInFlight]:
        """Return the `limit` oldest requests under way of each process, of those after `after`."""
        return await self._ask(InFlightQuestion(limit, after), OwnInFlight, PATIENCE)

    async def cancel(self, request_id: str) -> Answers[CancelledRequest]:
        """Cancel the requests of that id in all processes, and return which there were."""
        question = CancelQuestion(request_id)
        answers = await self._ask(question, list[CancelledRequest], ACT_PATIENCE)
        found = [each for requests in answers.found for each in requests]
        return Answers(found, answers.silent)

    async def drain(self, target: str, drain: ProcessDrain | None) -> Answers[str]:
        """Have those drained that are the `target` or on it; return who has heard it."""
        question = DrainQuestion(target, drain)
        answers = await self._ask(question, list[str], ACT_PATIENCE)
        return Answers([each for ids in answers.found for each in ids], answers.silent)

    async def states(self) -> Answers[ProcessState]:
        """Return how each process is."""
        return await self._ask(StateQuestion(), ProcessState, PATIENCE)

    async def export(self, who: str | None, word: str) -> ExportProgress | None:
        """Return how far one's own export has come; None if no process says that it has it."""
        question = ExportQuestion(who, word)
        own = cast("list[ExportProgress]", self._own.answer(question))
        if own or self._sisters is None:
            return own[0] if own else None
        others, _ = await self._sisters.ask(question, list[ExportProgress], PATIENCE)
        return next((each for found in others.values() for each in found), None)

    async def _ask(self, question: Question, kind: type[T], seconds: float) -> Answers[T]:
        own = cast("T", self._own.answer(question))
        if self._sisters is None:
            return Answers([own])
        others, silent = await self._sisters.ask(question, kind, seconds)
        return Answers([own, *others.values()], silent)
