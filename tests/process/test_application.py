"""What is so once a process has started."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gateway.config.load import parse
from gateway.process import application
from gateway.process.application import Application

CONFIG = """
[log]
requests = false
[store]
url = ""
[providers.p]
kind = "demo"
[[models]]
name = "m"
routes = [{ provider = "p", model = "m", input_price = 0, output_price = 0 }]
[[tokens]]
name = "t"
key = "sk-caller-key"
"""


def test_how_late_the_start_has_made_the_loop_turns_nobody_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start computes for half a second and more where the machine is busy."""
    clock = MockClock()
    monkeypatch.setattr(application, "warn", lambda _config: clock.jump(2.0))
    started = Application()
    started.use(parse(CONFIG, "config.toml", {}), path=tmp_path / "config.toml")

    async def main() -> None:
        async with started._started() as running:
            lag = running.services.traffic.lag
            assert lag.current(trio.current_time()) == 0.0
            await trio.testing.wait_all_tasks_blocked()
            assert lag.current(trio.current_time()) == 0.0
            # From now on it is measured.
            clock.jump(2.0)
            assert lag.current(trio.current_time()) == pytest.approx(1.9)

    trio.run(main, clock=clock)
