from __future__ import annotations

import structlog.testing
import trio
from trio.testing import MockClock

from gateway.background import AGAIN, persist


async def test_a_task_that_fails_is_started_again(autojump_clock: MockClock) -> None:
    began: list[float] = []

    async def run() -> None:
        began.append(trio.current_time())
        if len(began) < 3:
            raise KeyError("what nobody has thought of")

    with structlog.testing.capture_logs() as logs:
        await persist(run)
    assert [later - began[0] for later in began] == [0, AGAIN, 2 * AGAIN]
    assert [line["log_level"] for line in logs] == ["error", "error"]
