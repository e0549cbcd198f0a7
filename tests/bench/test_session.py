"""A tiny run of the whole bench: real processes, a second each."""

from pathlib import Path
from typing import get_args

import msgspec
import pytest
from rich.console import Console

from bench import report
from bench.__main__ import ScenarioName
from bench.check import WrongAnswer, verify
from bench.compare import Session
from bench.measure import Cores, Provider, Settings
from bench.results import Results, rows
from bench.scenarios import SCENARIOS, Scenario
from bench.subjects import direct

pytestmark = pytest.mark.slow

TINY = Settings(seconds=0.25, warm_up=0.1)


def session(scenarios: list[Scenario], subjects: list[str], out: Path) -> Results:
    said: list[str] = []
    made = Session(subjects, scenarios, TINY, out=out, pin=False, say=said.append)
    results = made.run(rounds=1)
    assert len(said) == len(results.samples) + len(results.start_ups)
    return results


def test_command_line_knows_every_scenario() -> None:
    assert get_args(ScenarioName) == tuple(SCENARIOS)


@pytest.mark.measured
def test_direct_and_hypercorn_measured_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paced = Scenario("paced64", "short", connections=8, events=10, pace_ms=5)
    monkeypatch.setitem(SCENARIOS, "paced64", paced)
    chosen = [SCENARIOS["nonstream"], SCENARIOS["burst"], paced]
    results = session(chosen, ["direct", "hypercorn"], tmp_path)

    found = {(row.scenario, row.subject): row for row in rows(results)}
    assert set(found) == {(s.name, who) for s in chosen for who in ("direct", "hypercorn")}
    assert all(row.errors == {} and row.requests > 0 for row in found.values())
    # 8 streams at 5 ms are 1600 events/s; each also takes a pace for its end and its start.
    # A machine that does much else may need several times as long.
    assert 200 < found["paced64", "direct"].events < 1700
    assert found["nonstream", "hypercorn"].cost is not None
    assert results.start_ups[0].rss > 1e6

    report.write_json(results, tmp_path / "results.json")
    document = msgspec.json.decode((tmp_path / "results.json").read_bytes(), type=report.Document)
    assert document.rows == list(found.values())
    console = Console(record=True, width=150, file=(tmp_path / "out.txt").open("w"))
    with console.file:
        report.show(results, console)
    assert "paced64: short" in console.export_text()


def test_wrong_answer_is_noticed() -> None:
    provider = Provider(Cores())
    try:
        right = direct(provider.port)
        verify(right, SCENARIOS["burst"], usage=True)
        wrong = msgspec.structs.replace(right, model="something-else")
        for name in ("nonstream", "burst"):
            with pytest.raises(WrongAnswer, match="model"):
                verify(wrong, SCENARIOS[name], usage=False)
    finally:
        provider.tree.stop()
