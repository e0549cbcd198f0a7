"""The table of metrics, and the dashboard that is made for them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.core.records.record import WELL, EndReason
from gateway.telemetry.metrics import families
from gateway.telemetry.metrics.families import MetricKind

from ..samples import BOUNDS, make, parse, refused, settled

DEPLOY = Path(__file__).parents[3] / "deploy"
TABLE = families.table(families.gap_family(BOUNDS))


@pytest.mark.parametrize("family", TABLE.values(), ids=TABLE.keys())
def test_names_follow_the_rules(family: families.MetricFamily) -> None:
    assert re.fullmatch(r"gateway_[a-z]+(_[a-z]+)*", family.name)
    # Suffixes that an exposition adds by itself, or that mean another kind.
    assert not family.name.endswith(("_total", "_count", "_sum", "_bucket", "_created"))
    assert family.help.endswith(".")
    assert bool(family.bounds) == (family.kind is MetricKind.HISTOGRAM)
    assert family.size == (len(family.bounds) + 2 if family.bounds else 1)
    assert list(family.bounds) == sorted(family.bounds)


# The dashboard...


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DEPLOY / "grafana" / "gateway.json").read_text())
    return found


@pytest.fixture(scope="module")
def exposed() -> dict[str, set[str]]:
    """Return the labels of every sample that a gateway with traffic shows, by its name."""
    metrics = make()
    metrics.record(settled("server_error", None))
    other = settled("server_error", None)
    other.attempts[1].provider = "azure"
    metrics.record(other)
    metrics.record(settled(cached=True, end_reason=EndReason.CACHED))
    metrics.record(settled(cost_nano_usd=None))
    metrics.record(refused("rate_limit_exceeded"))
    metrics.publish()
    found: dict[str, set[str]] = {}
    for family in parse(metrics).values():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def expressions(dashboard: dict[str, Any]) -> Iterator[str]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


NAME = re.compile(r"\bgateway_\w+")
SELECTOR = re.compile(r"\b(gateway_\w+)\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')


def test_it_asks_for_what_there_is(dashboard: dict[str, Any], exposed: dict[str, set[str]]) -> None:
    asked = {name for expression in expressions(dashboard) for name in NAME.findall(expression)}
    assert asked
    assert asked - exposed.keys() == set()
    for expression in expressions(dashboard):
        for name, matchers in SELECTOR.findall(expression):
            found = MATCHER.findall(matchers)
            assert ",".join(f'{label}{how}"{value}"' for label, how, value in found) == matchers
            assert {label for label, _, _ in found} <= exposed[name], expression
        grouped = re.findall(r"\bby \(([\w, ]+)\)", expression)
        wanted = {label for each in grouped for label in each.split(", ")}
        of = [exposed[name] for name in NAME.findall(expression)]
        assert all(wanted <= labels for labels in of), expression
        assert expression.count("(") == expression.count(")")
    values = re.findall(r"label_values\((\w+), (\w+)\)", " ".join(expressions(dashboard)))
    assert len(values) == 3
    assert all(label in exposed[name] for name, label in values)


def test_what_failed_is_what_failed_on_record(dashboard: dict[str, Any]) -> None:
    (panel,) = [each for each in dashboard["panels"] if each["title"] == "Failed"]
    (target,) = panel["targets"]
    failed, whole = target["expr"].split(" / ")
    (named,) = re.findall(r',end_reason!~"([^"]+)"', failed)
    assert {*named.split("|")} == WELL
    assert whole == failed.replace(f',end_reason!~"{named}"', "") + " or vector(0)"


def test_it_uses_all_that_there_is(dashboard: dict[str, Any], exposed: dict[str, set[str]]) -> None:
    text = " ".join(expressions(dashboard))
    assert {name for name in TABLE if not re.search(rf"\b{name}(_total|_bucket)?\b", text)} == set()
    assert {
        name for name in TABLE if not {name, f"{name}_total", f"{name}_sum"} & set(exposed)
    } == (set())


def test_its_legends_name_labels_that_are_left(dashboard: dict[str, Any]) -> None:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            grouped = re.search(r"\bby \(([\w, ]+)\)", target["expr"])
            left = set(grouped[1].split(", ")) if grouped else set()
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= left


def test_it_is_laid_out_and_bound_to_its_variables(dashboard: dict[str, Any]) -> None:
    names = [each["name"] for each in dashboard["templating"]["list"]]
    assert names == ["datasource", "model", "provider", "token"]
    used = set(re.findall(r"\$(\w+)", " ".join(expressions(dashboard))))
    assert used - {"__rate_interval", "__range"} == set(names) - {"datasource"}
    panels = dashboard["panels"]
    assert [each["title"] for each in panels if each["type"] == "row"] == [
        *("Traffic", "Latency", "Tokens and cost", "Providers"),
        *("Limits", "Request log", "Processes"),
    ]
    assert len({each["id"] for each in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert panel["targets"]
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        squares = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not squares & taken
        taken |= squares
