"""The sample of alerting rules: what it asks for exists, and docs/operations.md lists it.

There is no reader of YAML among the gateway's tools. The file keeps to a part of YAML that is read
in a few lines here, and everything else in it is an error.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.core.records.record import EndReason
from gateway.core.routing.causes import Cause
from gateway.telemetry.metrics import families

from ..telemetry.samples import BOUNDS

ROOT: Final = Path(__file__).parents[2]
FILE: Final = ROOT / "deploy" / "alerts.yml"
TABLE: Final = families.table(families.gap_family(BOUNDS))
# The names that samples have in an exposition, and their labels.
SHOWN: Final = {
    f"{name}_total" if family.kind is families.MetricKind.COUNTER else name: set(family.labels)
    for name, family in TABLE.items()
} | {"up": {"job", "instance"}}

# A key, and a value in quotes or one that cannot be taken for anything but a text.
LINE: Final = re.compile(
    r'( *)(- )?(?:(\w+):(?: ("[^"\\]*"|\'[^\']*\'|[A-Za-z][\w.-]*|\d+[smh]))?)'
)
FUNCTIONS: Final = {"rate", "increase", "sum", "by"}
SELECTOR: Final = re.compile(r"\b(up|gateway_\w+)(?:\{([^}]*)\})?(\[\d+[smh]\])?")
MATCHER: Final = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')


def read(text: str) -> list[dict[str, Any]]:
    """Return the rules of the one group in `text`."""
    rules: list[dict[str, Any]] = []
    into: dict[str, Any] = {}
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = LINE.fullmatch(line)
        assert match is not None, line
        indent, dash, key, value = len(match[1]) + len(match[2] or ""), match[2], match[3], match[4]
        plain = None if value is None else value.strip("\"'")
        if indent <= 4:
            assert (indent, key, plain) in [
                (0, "groups", None),
                (4, "name", "llm-gateway"),
                (4, "rules", None),
            ], line
            continue
        if dash:
            assert (indent, key) == (8, "alert"), line
            rules.append({})
        rule = rules[-1]
        if plain is None:
            assert (indent, key in ("labels", "annotations"), key in rule) == (8, True, False), line
            into = rule[key] = {}
        elif indent == 8:
            assert key in ("alert", "expr", "for"), line
            assert key not in rule, line
            rule[key] = plain
        else:
            assert indent == 10, line
            assert key not in into, line
            into[key] = plain
    return rules


RULES: Final = read(FILE.read_text())
EACH: Final = pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])


def test_names_are_single() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)


@EACH
def test_a_rule_is_whole(rule: dict[str, Any]) -> None:
    assert rule.keys() - {"for"} == {"alert", "expr", "labels", "annotations"}
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    summary = rule["annotations"]["summary"]
    assert summary.endswith(".")
    assert summary.count("{{") == summary.count("}}")
    # Labels that the expression leaves.
    named = set(re.findall(r"\$labels\.(\w+)", summary))
    expr = rule["expr"]
    grouped = [set(each.split(", ")) for each in re.findall(r"\bby \(([\w, ]+)\)", expr)]
    left = grouped[0] if grouped else SHOWN[SELECTOR.findall(expr)[0][0]] | {"instance"}
    assert named <= left


@EACH
def test_an_expression_asks_for_what_there_is(rule: dict[str, Any]) -> None:
    expr = rule["expr"]
    assert expr.count("(") == expr.count(")")
    # A condition: without a comparison it would hold for ever.
    assert re.search(r" (==|!=|>=|<=|<|>) [\d.]+( \* \d+)?$", expr)
    found = SELECTOR.findall(expr)
    assert found
    for name, matchers, window in found:
        assert name in SHOWN, name
        parts = MATCHER.findall(matchers)
        assert ",".join(f'{label}{how}"{value}"' for label, how, value in parts) == matchers
        assert {label for label, _, _ in parts} <= SHOWN[name]
        for _, _, value in parts:
            re.compile(value)
        # Counters are asked for how fast they grow, and nothing else is.
        grows = rf"\b(rate|increase)\({re.escape(name)}"
        assert bool(window) == name.endswith("_total") == bool(re.search(grows, expr))
    for grouped in re.findall(r"\bby \(([\w, ]+)\)", expr):
        assert all(set(grouped.split(", ")) <= SHOWN[name] for name, _, _ in found)
    # What is left beside selectors, strings and numbers are functions that Prometheus has.
    rest = re.sub(r"\bby \([\w, ]+\)", "by", SELECTOR.sub("", expr))
    assert set(re.findall(r"[a-z_]+", rest)) <= FUNCTIONS


@EACH
def test_a_value_that_is_asked_for_can_be_there(rule: dict[str, Any]) -> None:
    known = {
        "cause": {each.value for each in Cause},
        "end_reason": {each.value for each in EndReason},
        "reason": set(re.findall(r"`(\w+)`", _reasons())),
    }
    for label, _, value in MATCHER.findall(rule["expr"]):
        for each in value.split("|") if label in known else ():
            assert any(re.fullmatch(each, one) for one in known[label]), each


def _reasons() -> str:
    text = (ROOT / "docs" / "records.md").read_text()
    (row,) = [line for line in text.splitlines() if line.startswith("| `gateway_refusals_total`")]
    return row.rpartition("|")[0].rpartition("|")[2]


def test_the_documentation_lists_each_rule() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    section = text.partition("## What to alert on")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \| (\w*) \|", section, re.MULTILINE)
    listed = [(name, expr.replace("\\|", "|"), wait) for name, expr, wait in rows]
    assert listed == [(rule["alert"], rule["expr"], rule.get("for", "")) for rule in RULES]


def test_the_sample_of_prometheus_loads_it() -> None:
    sample = (FILE.parent / "prometheus.yml").read_text()
    assert "\nrule_files:\n  - alerts.yml\n" in sample
    (job,) = re.findall(r"job_name: (\S+)", sample)
    assert json.dumps(job) in RULES[0]["expr"]
