"""Medians, ratios and targets from made-up samples."""

import pytest

from bench.report import doubts
from bench.results import Results, Sample, ratios, row
from bench.window import Counted, Spread


def sample(subject: str, cpu: float, *, scenario: str = "nonstream", events: int = 0) -> Sample:
    spread = Spread(p50=cpu * 1000, p99=cpu * 2000)
    counted = Counted(
        seconds=1.0,
        requests=1000,
        events=events,
        errors={},
        reconnects=0,
        first=spread,
        delay=spread if events else None,
        whole=spread,
    )
    return Sample(scenario, subject, 1, counted, cpu, 0.1, 0.1, 0.0, 1_000_000, 0.0)


def results(*samples: Sample) -> Results:
    return Results(machine={}, notes=[], samples=list(samples))


def test_median_of_rounds_and_delay_added_to_the_direct_one() -> None:
    found = results(
        sample("direct", 0.1),
        *(sample("gateway", cpu) for cpu in (0.9, 0.4, 0.5)),
    )
    one = row(found, "nonstream", "gateway")
    assert one.cost == pytest.approx(500)
    assert one.spread == pytest.approx(500)
    assert one.added == pytest.approx((400, 800))


@pytest.mark.parametrize(("litellm", "ok"), [(8.0, True), (7.9, False)])
def test_ratio_beside_its_target(litellm: float, ok: bool) -> None:
    found = results(sample("direct", 0.1), sample("gateway", 1.0), sample("litellm", litellm))
    (ratio,) = ratios(found)
    assert (ratio.over, ratio.ok) == ("litellm", ok)
    assert ratio.ratio == pytest.approx(1 / litellm)


def test_ratio_without_a_target_has_no_verdict() -> None:
    found = results(
        sample("gateway", 1.0, scenario="paced256", events=10),
        sample("litellm", 2.0, scenario="paced256", events=10),
    )
    assert [ratio.ok for ratio in ratios(found)] == [None]


def test_doubt_about_a_rate_that_was_not_reached() -> None:
    found = results(sample("gateway", 1.0, scenario="paced64", events=3200))
    (doubt,) = doubts([row(found, "paced64", "gateway")])
    assert "3200 events/s of 6400 offered" in doubt
