from __future__ import annotations

import errno
import math
import os
from pathlib import Path

import psutil
import pytest

from gateway.core.routing.breaker.states import BreakerState
from gateway.telemetry.metrics import families
from gateway.telemetry.metrics.cells import MemoryCells, SharedCells
from gateway.telemetry.metrics.gauges import BudgetGauges, GapHistogram, GaugeBoard
from gateway.telemetry.metrics.labels import LabelValues

from ..samples import BOUNDS, gaps, state

FAMILY = families.gap_family(BOUNDS)


def value(storage: MemoryCells | SharedCells, name: str, *labels: str, index: int = 0) -> float:
    (found,) = [page for page in storage.pages() if page.live]
    return dict(found.series)[(name, *labels)][index]


def test_every_state_of_a_breaker_has_a_number() -> None:
    assert set(families.STATES) == {each.value for each in BreakerState}


def test_it_shows_what_is() -> None:
    storage = MemoryCells()
    board = GaugeBoard(storage, LabelValues(10))
    board.show(state(), gaps(), FAMILY)
    assert value(storage, "gateway_in_flight_requests") == 3
    assert value(storage, "gateway_loop_lag_seconds") == 0.25
    assert value(storage, "gateway_breaker_state", "azure/gpt-4o-mini") == 2
    assert value(storage, "gateway_deployment_available", "azure/gpt-4o-mini") == 0
    assert value(storage, "gateway_slots_limit", "provider openai") == 10
    assert ("gateway_slots_limit", "the gateway") not in storage.known()
    assert value(storage, "gateway_log_queue_depth") == 12
    counts = [value(storage, families.GAPS, index=each) for each in range(5)]
    assert counts == [5, 4, 3, 1, 2.5]
    rss = psutil.Process(os.getpid()).memory_info().rss
    assert abs(value(storage, "gateway_process_resident_memory_bytes") - rss) < 50_000_000
    assert value(storage, "gateway_process_cpu_seconds") > 0
    assert repr(board) == f"<GaugeBoard {len(storage.known())} series>"


def test_totals_are_followed_and_not_added_up() -> None:
    storage = MemoryCells()
    board = GaugeBoard(storage, LabelValues(10))
    for _ in range(3):
        board.show(state(), gaps(), FAMILY)
    assert value(storage, "gateway_log_dropped") == 1
    board.show(state(), GapHistogram(BOUNDS, (6, 4, 3, 1), 3.0), FAMILY)
    assert [value(storage, families.GAPS, index=each) for each in range(5)] == [6, 4, 3, 1, 3.0]


def test_a_total_that_begins_anew_goes_on() -> None:
    storage = MemoryCells()
    board = GaugeBoard(storage, LabelValues(10))
    opens = "gateway_breaker_opens"
    board.show(state(), None, None)
    assert value(storage, opens, "azure/gpt-4o-mini") == 4
    first, second = state().deployments
    fresh = type(second)(second.name, "closed", True, 0, 1, 0, 0)
    board.show(state(deployments=[first, fresh]), None, None)
    assert value(storage, opens, "azure/gpt-4o-mini") == 5


def test_what_is_gone_is_shown_no_more_and_comes_back() -> None:
    storage = MemoryCells()
    board = GaugeBoard(storage, LabelValues(10))
    board.show(state(), None, None)
    board.show(state(deployments=[], slots=[], log=None), None, None)
    for name, label in (
        ("gateway_breaker_state", "azure/gpt-4o-mini"),
        ("gateway_queue_waiting", "provider openai"),
    ):
        assert math.isnan(value(storage, name, label))
    assert math.isnan(value(storage, "gateway_log_queue_depth"))
    # What was counted was counted.
    assert value(storage, "gateway_breaker_opens", "azure/gpt-4o-mini") == 4
    board.show(state(), None, None)
    assert value(storage, "gateway_breaker_state", "azure/gpt-4o-mini") == 2
    assert value(storage, "gateway_breaker_opens", "azure/gpt-4o-mini") == 4


def test_a_successor_takes_over_counts_but_no_state(tmp_path: Path) -> None:
    storage = SharedCells(tmp_path)
    GaugeBoard(storage, LabelValues(10)).show(state(), gaps(), FAMILY)
    storage.close()
    storage = SharedCells(tmp_path)
    board = GaugeBoard(storage, LabelValues(10))
    assert math.isnan(value(storage, "gateway_in_flight_requests"))
    board.show(state(), gaps(), FAMILY)
    assert value(storage, "gateway_in_flight_requests") == 3
    assert value(storage, "gateway_log_dropped") == 2
    assert [value(storage, families.GAPS, index=each) for each in range(5)] == [10, 8, 6, 2, 5.0]
    storage.close()


def test_without_descriptors_the_rest_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = MemoryCells()
    board = GaugeBoard(storage, LabelValues(10))
    board.show(state(), None, None)

    def exhausted(*_: object) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr("builtins.open", exhausted)
    board.show(state(in_flight=9), None, None)
    monkeypatch.undo()
    assert math.isnan(value(storage, "gateway_process_resident_memory_bytes"))
    assert value(storage, "gateway_in_flight_requests") == 9


def test_budgets_have_places_of_their_own_and_are_never_added_up() -> None:
    storage = MemoryCells()
    board = GaugeBoard(storage, LabelValues(10), most_budgets=1)
    one = BudgetGauges("token", "app", "day", 10.0, 4.0, 5.5)
    team = BudgetGauges("team", "app", "month", 100.0, 40.0, 60.0)
    board.show(state(budgets=[one, team]), None, None)
    assert value(storage, "gateway_budget_left_usd", "token", "app", "day") == 5.5
    assert value(storage, "gateway_budget_spent_usd", "team", "app", "month") == 40.0
    assert value(storage, "gateway_budget_limit_usd", "team", "app", "month") == 100.0
    # There is room for one of each.
    board.show(state(budgets=[BudgetGauges("token", "b", "day", 1.0, 1.0, 0.0)]), None, None)
    assert {key[2] for key in storage.known() if "budget_" in key[0] and key[1] == "token"} == {
        "app"
    }
    assert math.isnan(value(storage, "gateway_budget_left_usd", "token", "app", "day"))
