"""Ids of calls, which this API may do without: made up, and left out again.

Where a call has no id its response says only the name of the function, and of several with one name
the order decides (ai.google.dev/gemini-api/docs/function-calling, "Parallel function calling").
"""

from __future__ import annotations

from typing import Final

_MADE: Final = "gwcall_"


def made_id(unique: str, number: int) -> str:
    """Return an id for a call that has none; `unique` tells its answer from others."""
    return f"{_MADE}{unique}_{number}"


def is_made(id: str) -> bool:
    """Say whether an id was made up here, so that the provider does not know it."""
    return id.startswith(_MADE)


class CallIds:
    """The calls of a conversation, in the order in which they are read."""

    def __init__(self) -> None:
        # Those without a response, with their names.
        self._open: list[tuple[str, str]] = []
        self._count = 0

    def __repr__(self) -> str:
        return f"<CallIds, {len(self._open)} open>"

    def call(self, given: str, name: str) -> str:
        """Return the id of a call."""
        id = given or made_id("of_request", self._count)
        self._count += 1
        self._open.append((id, name))
        return id

    def response(self, given: str, name: str) -> str:
        """Return the id of the call that a response belongs to."""
        for number, (id, called) in enumerate(self._open):
            if id == given if given else called == name:
                return self._open.pop(number)[0]
        # To nothing that was called: the provider says what is wrong with it.
        return given or made_id("of_nothing", self._count)
