"""How far an export is, is known to all processes."""

from __future__ import annotations

from typing import Any

from gateway.group.exports import ExportProgress, ProcessExports
from gateway.group.folder import group_directory
from gateway.group.questions import ExportQuestion
from gateway.group.sisters import Sisters
from gateway.group.whole import Group

from .test_sisters import Scripted, listening, place

HALF = ExportProgress(0.5, 10, None)


def test_a_process_remembers_some_of_its_exports() -> None:
    exports = ProcessExports()
    for number in range(40):
        exports.track("ann", f"word-{number}", lambda: HALF)
    assert exports.progress("ann", "word-39") == HALF
    assert exports.progress("ann", "word-0") is None
    assert exports.progress("eve", "word-39") is None
    assert exports.progress(None, "word-39") is None


async def test_one_that_another_process_sends_is_found() -> None:
    own: Any = Scripted([])
    with group_directory() as folder:
        membership = place(folder, 0, 3)
        group = Group(own, Sisters(membership))
        async with (
            listening(membership.socket_of(1), []) as first,
            listening(membership.socket_of(2), [HALF]),
        ):
            assert await group.export("ann", "a-word") == HALF
            assert first.asked == [ExportQuestion("ann", "a-word")]
        assert await group.export("ann", "a-word") is None


async def test_the_own_one_is_asked_of_nobody_else() -> None:
    own: Any = Scripted([HALF])
    with group_directory() as folder:
        membership = place(folder)
        async with listening(membership.socket_of(1), []) as other:
            assert await Group(own, Sisters(membership)).export("ann", "a-word") == HALF
            assert other.asked == []
    assert await Group(own).export("ann", "a-word") == HALF
