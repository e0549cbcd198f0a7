from __future__ import annotations

from pathlib import Path

import trio

from gateway.store.writing.adoption import ADOPT_INTERVAL, Adoption


async def test_when_to_look() -> None:
    adoption = Adoption(Path(), trio.Event())
    assert adoption.look(0) is True
    adoption.found(True)
    assert not adoption.done.is_set()
    # There may be more of it.
    assert adoption.look(1) is False
    adoption.found(False)
    assert adoption.done.is_set()
    assert adoption.look(2) is None
    assert adoption.next_look == ADOPT_INTERVAL
    assert adoption.look(ADOPT_INTERVAL) is True


async def test_a_failure_begins_anew() -> None:
    adoption = Adoption(Path(), trio.Event())
    adoption.look(0)
    adoption.found(True)
    adoption.interrupted()
    assert adoption.look(1) is True
    assert not adoption.done.is_set()
