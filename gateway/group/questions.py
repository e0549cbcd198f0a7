"""What processes ask each other, and what they answer: JSON, one question a connection.

Each question has a type of its own, whose name goes with it.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ..core.processes import ProcessDrain
from ..proxy.in_flight import InFlightRow

# Bytes of a question, and of an answer: a thousand requests under way, or the state of a thousand
# deployments, take a few hundred thousand.
QUESTION_BYTES: Final = 64 * 1024
ANSWER_BYTES: Final = 16 * 1024 * 1024
MOST_ROWS: Final = 2001


class StateQuestion(msgspec.Struct, frozen=True, tag="state"):
    """How are you? Answered with a `ProcessState`."""


class InFlightQuestion(msgspec.Struct, frozen=True, tag="in_flight"):
    """What are your oldest requests under way, of those that came after `after`?

    Answered with `OwnInFlight`.
    """

    limit: Annotated[int, Meta(ge=1, le=MOST_ROWS)]
    after: tuple[int, str] | None = None


class CancelQuestion(msgspec.Struct, frozen=True, tag="cancel"):
    """Cancel the requests of that id. Answered with a list of `CancelledRequest`."""

    request_id: str


class ExportQuestion(msgspec.Struct, frozen=True, tag="export"):
    """How far is the export that `who` watches by `word`?

    Answered with a list of `ExportProgress`, which is empty if there is none.
    """

    who: str | None
    word: str


class DrainQuestion(msgspec.Struct, frozen=True, tag="drain"):
    """Be drained, if you are the `target` or on it; without a `drain` be in service again.

    Answered with a list of the processes that have heard it.
    """

    target: str
    drain: ProcessDrain | None = None


Question = StateQuestion | InFlightQuestion | CancelQuestion | ExportQuestion | DrainQuestion


class OwnInFlight(msgspec.Struct, frozen=True):
    """Requests under way in one process; `total` counts those left out as well."""

    pid: int
    rows: list[InFlightRow]
    total: int


class CancelledRequest(msgspec.Struct, frozen=True):
    token: str | None
    model: str | None
