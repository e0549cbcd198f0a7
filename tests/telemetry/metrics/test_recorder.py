from __future__ import annotations

import gc
import itertools
import random
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from prometheus_client.metrics_core import Metric

from gateway.core.records.record import AttemptRecord, EndReason
from gateway.core.routing.causes import Cause
from gateway.errors import (
    ConfigError,
    ConfigurationRejected,
    Conflict,
    GatewayError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    ProvidersFailed,
    StoreUnavailable,
    UpgradeRequired,
)
from gateway.telemetry.metrics import recorder as module
from gateway.telemetry.metrics.gauges import Gauges
from gateway.telemetry.metrics.labels import OTHER
from gateway.telemetry.metrics.reasons import INVALID, REASONS
from gateway.telemetry.metrics.recorder import (
    PROVIDER_LIMIT,
    PUBLISH_EVERY,
    MetricsRecorder,
)

from ...rounds import rounds
from ..samples import OPENMETRICS, make, parse, parsed, refused, settled, state, values


def total(metrics: MetricsRecorder, name: str, **labels: str) -> float:
    """Return the sum of a family's samples with these labels."""
    return sum(
        sample.value
        for family in parse(metrics).values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def labels_of(metrics: MetricsRecorder, label: str, accept: str | None = None) -> set[str]:
    return labels_in(parse(metrics, accept), label)


def labels_in(families: dict[str, Metric], label: str) -> set[str]:
    return {
        sample.labels[label]
        for family in families.values()
        for sample in family.samples
        if sample.name.startswith("gateway_") and label in sample.labels
    }


# What one request counts...


def test_a_served_request() -> None:
    metrics = make()
    for _ in range(3):
        metrics.record(settled())
    found = values(metrics)
    whose = "model=fast,provider=openai,token=team"
    how = "end_reason=complete,model=fast,operation=chat,provider=openai,status=200,token=team"
    assert found[f"gateway_requests_total{{{how}}}"] == 3
    tokens = {"input": 300, "output": 90, "cached": 120, "reasoning": 60}
    for kind, count in tokens.items():
        assert found[f"gateway_tokens_total{{{whose},type={kind}}}"] == count
    assert found[f"gateway_cost_usd_total{{{whose}}}"] == pytest.approx(0.0075)
    of = "model=fast,provider=openai"
    assert found[f"gateway_request_duration_seconds_sum{{{of}}}"] == pytest.approx(3.6)
    assert found[f"gateway_request_duration_seconds_bucket{{le=1.0,{of}}}"] == 0
    assert found[f"gateway_request_duration_seconds_bucket{{le=1.5,{of}}}"] == 3
    assert found[f"gateway_time_to_first_event_seconds_count{{{of}}}"] == 3
    attempts = "gateway_attempts_total{cause=ok,provider=openai,provider_model=gpt-4o-mini}"
    assert found[attempts] == 3
    assert not any("retries" in name or "cache_hits" in name for name in found)
    assert total(metrics, "gateway_refusals_total") == 0


def test_each_end_is_counted_apart() -> None:
    metrics = make()
    for reason in EndReason:
        metrics.record(settled(end_reason=reason, status=500))
    for reason in EndReason:
        assert total(metrics, "gateway_requests_total", end_reason=reason.value, status="500") == 1


def test_requests_are_counted_by_what_was_asked_for() -> None:
    metrics = make()
    asked = ["chat", "messages", "responses", "embeddings", "completions", "moderations", "chat"]
    for operation in asked:
        metrics.record(settled(operation=operation))
    for operation in asked[1:-1]:
        assert total(metrics, "gateway_requests_total", operation=operation) == 1
    assert total(metrics, "gateway_requests_total", operation="chat") == 2


def test_unknown_usage_counts_nothing() -> None:
    metrics = make()
    metrics.record(
        settled(
            **dict.fromkeys(
                ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"), None
            ),
            cost_nano_usd=None,
            first_event_ms=None,
        )
    )
    found = parse(metrics)
    assert not {"gateway_tokens", "gateway_cost_usd", "gateway_time_to_first_event_seconds"} & {
        *found
    }
    # What was charged by an estimate has a cost all the same.
    metrics.record(settled(input_tokens=None, output_tokens=None, cost_nano_usd=5_000_000_000))
    assert total(metrics, "gateway_cost_usd_total") == 5


def test_a_cost_that_is_not_known_is_counted_and_no_series_says_0() -> None:
    metrics = make()
    metrics.record(settled(cost_nano_usd=None))
    metrics.record(settled(cost_nano_usd=None, input_tokens=None))
    metrics.record(settled(cost_nano_usd=None, input_tokens=None, first_event_ms=None))
    assert "gateway_cost_usd" not in parse(metrics)
    assert total(metrics, "gateway_tokens_total", type="input") == 100
    assert total(metrics, "gateway_cost_unknown_requests_total", token="team") == 2
    # What is free has a cost, which is 0.
    metrics.record(settled(cost_nano_usd=0))
    assert "gateway_cost_usd" in parse(metrics)
    assert total(metrics, "gateway_cost_unknown_requests_total") == 2


def test_tokens_that_were_written_to_a_cache_are_counted() -> None:
    metrics = make()
    metrics.record(settled(cache_write_tokens=8))
    assert total(metrics, "gateway_tokens_total", type="cache_write") == 8


def test_a_cached_answer_costs_nothing_again() -> None:
    metrics = make()
    metrics.record(settled(cached=True, end_reason=EndReason.CACHED, attempts=[]))
    assert total(metrics, "gateway_cache_hits_total", model="fast") == 1
    assert total(metrics, "gateway_requests_total", end_reason="cached") == 1
    assert total(metrics, "gateway_tokens_total") == 0
    assert total(metrics, "gateway_cost_usd_total") == 0


def test_attempts_retries_and_fallbacks() -> None:
    metrics = make()
    names = [("a", "m"), ("a", "m"), ("a", "n"), ("b", "n"), ("b", "n")]
    causes = ["server_error", "rate_limited", "connect_timeout", "truncated", None]
    metrics.record(
        settled(
            attempts=[
                AttemptRecord(provider=provider, model=model, cause=cause)
                for (provider, model), cause in zip(names, causes, strict=True)
            ]
        )
    )
    for (provider, model), cause in zip(names, causes, strict=True):
        of = {"provider": provider, "provider_model": model, "cause": cause or "ok"}
        assert total(metrics, "gateway_attempts_total", **of) == 1
    assert total(metrics, "gateway_retries_total", provider="a") == 1
    assert total(metrics, "gateway_retries_total", provider="b") == 1
    assert total(metrics, "gateway_fallbacks_total", provider="a") == 1
    assert total(metrics, "gateway_fallbacks_total", provider="b") == 1


def test_success_is_no_cause() -> None:
    assert "ok" not in {cause.value for cause in Cause}


# What is refused...


@pytest.mark.parametrize(("code", "reason"), REASONS.items())
def test_refusals_have_reasons(code: str, reason: str) -> None:
    metrics = make()
    metrics.record(refused(code))
    assert total(metrics, "gateway_refusals_total") == 1
    assert total(metrics, "gateway_refusals_total", reason=reason) == 1


def subclasses(of: type[GatewayError]) -> Iterator[type[GatewayError]]:
    for each in of.__subclasses__():
        yield each
        yield from subclasses(each)


def test_every_error_has_a_reason() -> None:
    # These are not about the caller, or how much there is to do.
    invalid = {
        *(InvalidRequest, NotFound, MethodNotAllowed, ConfigurationRejected, UpgradeRequired),
        # The admin API's.
        *(Conflict, PreconditionFailed, PreconditionRequired),
    }
    broken = {InternalError, ProvidersFailed, StoreUnavailable}
    for error in {*subclasses(GatewayError)} - invalid - broken:
        if error.code != GatewayError.code:
            assert error.code in REASONS, error
    metrics = make()
    for error in invalid:
        metrics.record(refused(error.code))
    assert total(metrics, "gateway_refusals_total", reason=INVALID) == len(invalid)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (EndReason.PROVIDERS_FAILED, "no_healthy_upstream"),
        (EndReason.SHUTTING_DOWN, "server_shutting_down"),
        (EndReason.TOTAL_TIMEOUT, "upstream_timeout"),
    ],
)
def test_a_failure_is_a_refusal_if_no_provider_was_asked(reason: EndReason, code: str) -> None:
    metrics = make()
    metrics.record(settled("server_error", end_reason=reason, error_code=code))
    assert total(metrics, "gateway_refusals_total") == 0
    metrics.record(refused(code, reason))
    assert total(metrics, "gateway_refusals_total", reason=REASONS[code]) == 1


def test_refusals_begin_at_nought() -> None:
    """Or Prometheus would not see the first: a series that begins at 1 has not grown."""
    assert labels_of(make(), "reason") == {*REASONS.values(), INVALID, PROVIDER_LIMIT}


def test_a_limit_of_the_providers_is_no_limit_of_the_caller() -> None:
    metrics = make()
    metrics.record(refused("rate_limit_exceeded"))
    metrics.record(refused("rate_limit_exceeded", EndReason.PROVIDERS_FAILED))
    for reason in ("rate_limit", PROVIDER_LIMIT):
        assert total(metrics, "gateway_refusals_total", reason=reason) == 1


def test_what_is_no_refusal() -> None:
    metrics = make()
    for reason in (EndReason.CLIENT_GONE, EndReason.INTERNAL_ERROR, EndReason.SEND_TIMEOUT):
        metrics.record(refused("internal_error", reason))
    metrics.record(settled("rejected", end_reason=EndReason.PROVIDER_REJECTED))
    assert total(metrics, "gateway_refusals_total") == 0


# Whose names are shown...


def test_a_model_that_no_provider_was_asked_for_has_no_name() -> None:
    metrics = make()
    for number in range(500):
        metrics.record(refused("model_not_found", model=f"invented-{number}"))
    assert total(metrics, "gateway_requests_total", model="") == 500
    assert labels_of(metrics, "model") == {""}
    # They took no place, and one that is asked for keeps its name when it is refused.
    metrics.record(settled())
    metrics.record(refused("rate_limit_exceeded"))
    assert total(metrics, "gateway_requests_total", model="fast") == 2


def test_names_of_the_configuration_are_known_from_the_start() -> None:
    metrics = make(limit=2)
    metrics.know("model", ["fast", "smart"])
    for number in range(10):
        metrics.record(settled(model=f"wild-{number}"))
    metrics.record(refused("insufficient_quota", model="smart"))
    assert labels_of(metrics, "model") == {"smart", OTHER}
    assert total(metrics, "gateway_requests_total", model=OTHER) == 10


def hostile() -> Iterator[str]:
    chance = random.Random(7)
    alphabet = 'ab"\\\n\r\t{},= #🦊é\u2028\x00\x1b\ud800\u202e'
    for number in itertools.count():
        yield "".join(chance.choices(alphabet, k=chance.randrange(12))) + str(number)


@pytest.mark.slow
@pytest.mark.parametrize("accept", [None, OPENMETRICS])
@pytest.mark.parametrize("shared", [False, True])
def test_hostile_names_are_bounded_and_parse(
    accept: str | None, shared: bool, tmp_path: Path
) -> None:
    metrics = make(tmp_path if shared else None, limit=20)
    names = hostile()
    count = rounds(500, 10_000)
    for _ in range(count):
        model, token, provider, other = itertools.islice(names, 4)
        attempts = [AttemptRecord(provider=provider, model=other)]
        metrics.record(settled(model=model, token=token, provider=provider, attempts=attempts))
    metrics.publish()
    families = parse(metrics, accept)
    for label in ("model", "token", "provider", "provider_model"):
        found = labels_in(families, label)
        assert len(found - {OTHER}) == 20
        assert OTHER in found
        assert all(value.isprintable() for value in found)
    assert total(metrics, "gateway_requests_total") == count
    assert total(metrics, "gateway_attempts_total") == count
    assert len(metrics._groups) <= 20
    metrics.close()


def test_statuses_are_bounded_as_well() -> None:
    metrics = make(limit=10)
    for status in range(400, 999):
        metrics.record(settled(status=status))
    assert len(labels_of(metrics, "status")) == 11
    assert total(metrics, "gateway_requests_total") == 599


def test_groups_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_GROUPS", 50)
    metrics = make()
    for model, token in itertools.product(range(100), range(100)):
        metrics.record(settled(model=f"m{model}", token=f"t{token}"))
    (family,) = [each for name, each in parse(metrics).items() if name == "gateway_requests"]
    assert len(family.samples) == 51
    assert total(metrics, "gateway_requests_total", model=OTHER, token=OTHER) == 9950
    assert "50 groups" in repr(metrics)


# The cost...


@pytest.mark.measured
def test_counting_is_cheap(tmp_path: Path) -> None:
    """A bound for the slowest machine; measured are 2 us, in both modes."""
    for directory in (None, tmp_path):
        metrics = make(directory)
        record, found = settled("server_error", None), []
        gc.disable()
        try:
            for _ in range(10):
                began = time.thread_time()
                for _ in range(500):
                    metrics.record(record)
                found.append((time.thread_time() - began) / 500)
        finally:
            gc.enable()
        assert min(found) < 0.000_015
        metrics.close()


def test_counting_keeps_nothing_of_a_record() -> None:
    metrics = make()
    metrics.record(settled())
    record = settled()
    before = sys.getrefcount(record), sys.getrefcount(record.attempts[0])
    metrics.record(record)
    assert before == (sys.getrefcount(record), sys.getrefcount(record.attempts[0]))


# Scrapes...


@pytest.mark.parametrize("shared", [False, True])
async def test_a_scrape_is_up_to_date_and_beside_the_loop(shared: bool, tmp_path: Path) -> None:
    threads = []

    def collect() -> Gauges:
        threads.append(threading.get_ident())
        return state(in_flight=len(threads))

    metrics = MetricsRecorder(200, collect, None, tmp_path if shared else None)
    for expected in (1, 2):
        _, body = await metrics.scrape(None)
        assert b"\ngateway_in_flight_requests %d.0\n" % expected in body
    assert set(threads) == {threading.get_ident()}
    metrics.close()


async def test_a_worker_shows_itself_every_second(autojump_clock: trio.testing.MockClock) -> None:
    shown = []

    def collect() -> Gauges:
        shown.append(trio.current_time())
        return state()

    metrics = MetricsRecorder(200, collect)
    began = trio.current_time()
    with trio.move_on_after(2.5 * PUBLISH_EVERY):
        await metrics.run()
    assert [each - began for each in shown] == [0, PUBLISH_EVERY, 2 * PUBLISH_EVERY]


@pytest.mark.soak
@pytest.mark.parametrize("shared", [False, True])
def test_scrapes_while_others_count(shared: bool, tmp_path: Path) -> None:
    metrics = make(tmp_path if shared else None)
    bodies: list[tuple[int, bytes, int]] = []
    counted, stop = 0, threading.Event()
    models = rounds(5, 150)

    def scrape() -> None:
        while not stop.is_set():
            before = counted
            _, body = metrics.expose(OPENMETRICS)
            bodies.append((before, body, counted))

    thread = threading.Thread(target=scrape)
    thread.start()
    deadline = time.monotonic() + rounds(300, 1500) / 1000
    # On a busy machine a scrape may take as long as that.
    while (now := time.monotonic()) < deadline or (len(bodies) < 3 and now < deadline + 20):
        metrics.record(settled(model=f"m{counted % models}", token=f"t{counted % 7}"))
        counted += 1
        if counted % 100 == 0:
            metrics.publish()
    stop.set()
    thread.join()
    assert len(bodies) > 1
    last: dict[str, float] = {}
    # Parsing all of them would take a minute.
    for before, body, after in bodies[:: len(bodies) // 4 or 1]:
        samples = [
            sample
            for name, family in parsed(b"openmetrics", body).items()
            if family.type in ("counter", "histogram") and name.startswith("gateway_")
            for sample in family.samples
        ]
        found = {f"{each.name}{sorted(each.labels.items())}": each.value for each in samples}
        requests = sum(each.value for each in samples if each.name == "gateway_requests_total")
        assert before <= requests <= after + 1
        assert all(found[name] >= value for name, value in last.items())
        last = found
    metrics.close()


def test_no_key_is_shown() -> None:
    canary = "sk-canary-4f1d2c"
    metrics = make()
    record = settled("auth_failed", None, error=f"the key {canary} is wrong")
    record.attempts[0].error = canary
    record.user, record.client, record.session = canary, canary, canary
    record.user_agent, record.request_id, record.metadata = canary, canary, {"key": canary}
    metrics.record(record)
    metrics.record(refused("invalid_api_key", token=None, error=canary, model=None))
    # Nor one that was put in the place of a model.
    metrics.record(refused("model_not_found", model=canary))
    metrics.publish()
    for accept in (None, OPENMETRICS):
        assert canary.encode() not in metrics.expose(accept)[1]


def test_a_directory_that_cannot_be_used_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent, can't be used: No such file"):
        make(tmp_path / "absent")
