"""A tiny run of the bench of the dashboard: real processes, half a second each."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from bench.dashboard.session import BUSY, QUIET, DashboardSession, show
from bench.measure import Settings
from bench.scenarios import SCENARIOS

pytestmark = pytest.mark.slow


def test_quiet_and_busy_are_measured_in_turn(tmp_path: Path) -> None:
    # On a busy machine seconds go by before the first page is there.
    for ahead in (1.5, 8.0, 25.0, 60.0):
        session = DashboardSession(
            [SCENARIOS["nonstream"]],
            Settings(seconds=0.8, warm_up=0.2),
            rows=300,
            out=tmp_path / str(ahead),
            pin=False,
            one_core=False,
            threads=False,
            ahead=ahead,
            say=lambda line: None,
        )
        results = session.run(rounds=1)
        if results.crowds[0].pages >= 2 and results.crowds[0].events >= 3:
            break
    assert [each.subject for each in results.measured.samples] == [QUIET, BUSY]
    assert all(each.units > 0 for each in results.measured.samples)
    (crowd,) = results.crowds
    # Who pauses for a second between pages opens at least one, and each open page has an event.
    assert crowd.pages >= 2
    assert crowd.events >= 3
    assert crowd.errors == {}
    console = Console(record=True, width=150, file=(tmp_path / "out.txt").open("w"))
    with console.file:
        show(results, console)
    assert "busy" in console.export_text()
