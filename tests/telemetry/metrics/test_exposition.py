from __future__ import annotations

import math

import pytest

from gateway.telemetry.metrics import families
from gateway.telemetry.metrics.cells import CellPage
from gateway.telemetry.metrics.exposition import merge, wants_openmetrics

from ..samples import OPENMETRICS, make, parse, settled, values

# What Prometheus 3 sends.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        (PROMETHEUS, True),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=0.0.1", True),
        ("APPLICATION/OpenMetrics-Text;Version=1.0.0", True),
        ("application/openmetrics-text;q=0.3, text/plain;q=0.7", False),
        ("text/plain;q=0.3, application/openmetrics-text;q=0.7", True),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=nan", False),
        ("application/openmetrics-text;q=x", False),
        ("application/openmetrics-text;version=2.0.0", False),
        ("application/openmetrics-text;version=abc", False),
        (";;,,=;q", False),
    ],
)
def test_the_format_is_the_one_that_is_liked_best(accept: str, wanted: bool) -> None:
    assert wants_openmetrics(accept) is wanted
    kind, body = make().expose(accept)
    assert kind.startswith(b"application/openmetrics-text; version=1.0.0" if wanted else b"text/")
    assert body.endswith(b"# EOF\n") is wanted


def test_both_formats_say_the_same() -> None:
    metrics = make()
    metrics.record(settled())
    metrics.publish()
    ours = [
        {name: value for name, value in values(metrics, accept).items() if "gateway_" in name}
        for accept in (None, OPENMETRICS)
    ]
    assert ours[0] == ours[1]
    assert len(ours[0]) > 80


def test_help_types_and_units() -> None:
    metrics = make()
    metrics.record(settled("server_error", None))
    metrics.publish()
    found = parse(metrics, OPENMETRICS)
    for name, family in families.table(families.gap_family((1.0,))).items():
        if name in found:
            assert found[name].type == family.kind.value
            assert found[name].documentation == family.help
            assert name.endswith("_seconds") or family.kind.value != "histogram"
            assert found[name].unit == ("seconds" if family.kind.value == "histogram" else "")
    lines = metrics.expose(None)[1].decode().splitlines()
    assert "# TYPE gateway_requests_total counter" in lines
    assert "# TYPE gateway_request_duration_seconds histogram" in lines


def test_buckets_are_cumulative() -> None:
    metrics = make()
    for milliseconds in (4, 5, 6, 1_000_000):
        metrics.record(settled(latency_ms=milliseconds))
    found = values(metrics)
    name = "gateway_request_duration_seconds"
    of = "model=fast,provider=openai"
    assert found[f"{name}_bucket{{le=0.005,{of}}}"] == 2
    assert found[f"{name}_bucket{{le=0.01,{of}}}"] == 3
    assert found[f"{name}_bucket{{le=300.0,{of}}}"] == 3
    assert found[f"{name}_bucket{{le=+Inf,{of}}}"] == found[f"{name}_count{{{of}}}"] == 4
    assert found[f"{name}_sum{{{of}}}"] == pytest.approx(1000.015)


def test_what_a_worker_alone_knows_of_python_is_shown_when_it_is_alone() -> None:
    found = parse(make())
    assert {"process_open_fds", "python_info", "python_gc_collections"} <= set(found)


# What several workers make together...


def page(live: bool, **series: float) -> CellPage:
    return CellPage(live, iter([((f"gateway_{name}",), [value]) for name, value in series.items()]))


def test_values_of_several_workers() -> None:
    merged = merge(
        [
            page(True, in_flight_requests=2, loop_lag_seconds=0.1, log_dropped=5),
            page(True, in_flight_requests=3, loop_lag_seconds=0.5, log_dropped=7),
            page(True, config_last_reload_successful=1),
            page(True, config_last_reload_successful=0),
            page(False, in_flight_requests=100, loop_lag_seconds=9, log_dropped=20),
            page(True, in_flight_requests=math.nan),
        ],
        families.table(None),
    )
    assert {name: series[()] for name, series in merged.items() if series} == {
        "gateway_in_flight_requests": [5],
        "gateway_loop_lag_seconds": [0.5],
        "gateway_config_last_reload_successful": [0],
        "gateway_log_dropped": [32],
    }


def test_what_another_version_counted_is_skipped() -> None:
    strange: list[tuple[tuple[str, ...], list[float]]] = [
        (("gateway_forgotten",), [1]),
        (("gateway_requests", "too few"), [1]),
        (("gateway_request_duration_seconds", "m", "p"), [1, 2, 3]),
    ]
    assert not any(merge([CellPage(True, iter(strange))], families.table(None)).values())
