"""What several workers bring: the figures that follow, and one tiny run."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from bench.scale import report
from bench.scale.session import (
    ALONE,
    LOCAL,
    SHARED,
    ScaleMeasured,
    ScaleResults,
    ScaleSession,
    Setup,
    setups,
)
from tests.rounds import SOAK, rounds


def measured(setup: Setup, number: int, rate: float, let: int) -> ScaleMeasured:
    return ScaleMeasured(
        setup=setup,
        round=number,
        rate=rate,
        p50=1.0,
        p99=float(number),
        cpu=0.5,
        harness_cpu=0.2,
        other_cpu=0.0,
        rss=1_000_000 * number,
        let_through=let,
        refused=10,
        due=1000.0,
        faults={},
    )


def test_each_number_of_workers_is_measured_with_each_place_for_limits() -> None:
    assert setups([1, 2], shared=False) == [Setup(ALONE, 0), Setup(LOCAL, 1), Setup(LOCAL, 2)]
    assert setups([4], shared=True) == [Setup(ALONE, 0), Setup(LOCAL, 4), Setup(SHARED, 4)]


def test_medians_and_the_worst_of_what_was_let_through() -> None:
    setup = Setup(LOCAL, 2)
    results = ScaleResults({}, [measured(setup, n, 100.0 * n, 1000 - 5 * n) for n in (1, 2, 3)])
    (row,) = report.rows(results)
    assert (row.rate, row.per_core, row.p99, row.rss) == (200.0, 400.0, 2.0, 3_000_000)
    assert row.off == pytest.approx(-0.015)
    slow = msgspec.structs.replace(results.measured[0], refused=0)
    assert report.rows(ScaleResults({}, [slow]))[0].off is None
    assert len(report.doubts([slow])) == 1
    busy = msgspec.structs.replace(results.measured[0], other_cpu=0.5, faults={"503": 2})
    assert len(report.doubts([busy])) == 2
    assert report.doubts(results.measured) == []


@pytest.mark.slow
@pytest.mark.measured
def test_a_tiny_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not SOAK:
        # The last is of several workers, which share limits where there is a server for that.
        monkeypatch.setattr(
            "bench.scale.session.setups",
            lambda workers, *, shared: setups(workers, shared=shared)[-1:],
        )
        # Three times as many requests as the limit lets through are sent, however many that are.
        for module in ("session", "gateway"):
            monkeypatch.setattr(f"bench.scale.{module}.RPM", 150)
    seconds = rounds(0.4, 1.0)
    session = ScaleSession(seconds=seconds, warm_up=0.2, out=tmp_path, say=lambda line: None)
    results = session.run(1, [2])
    assert {each.setup.workers for each in results.measured} == rounds({2}, {0, 2})
    for each in results.measured:
        assert each.rate > 0
        # A second is short, and a busy machine late: the burst of a limit alone is a third of it.
        assert each.off is None or abs(each.off) < 0.6, each
    report.write_json(results, tmp_path / "scale.json")
    document = msgspec.json.decode((tmp_path / "scale.json").read_bytes(), type=report.Document)
    assert document.rows == report.rows(results)
    console = Console(record=True, width=150, file=(tmp_path / "out.txt").open("w"))
    with console.file:
        report.show(results, console)
    assert "per CPU second" in console.export_text()
