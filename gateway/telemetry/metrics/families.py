"""Every metric of `GET /metrics`: name, labels, meaning, and what several workers' values make.

Names follow prometheus.io/docs/practices/naming: base units, `_total` for what only grows. Labels
that callers choose, `model` and what a wildcard makes of it, are bounded (`labels.py`); a token
is shown by its name, never by any part of its key.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from ...core.records.histogram import BOUNDS


class MetricKind(enum.Enum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class MergeRule(enum.Enum):
    """What the values of several workers are together. Counters and histograms are summed."""

    SUM = "sum"
    MAX = "max"
    MIN = "min"


class MetricFamily(msgspec.Struct, frozen=True):
    """One metric with all its label values. `name` has no `_total`, `bounds` are inclusive."""

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()
    merge: MergeRule = MergeRule.SUM
    bounds: tuple[float, ...] = ()

    @property
    def size(self) -> int:
        """Return how many numbers one series has: a histogram's counts by bucket and its sum."""
        return len(self.bounds) + 2 if self.kind is MetricKind.HISTOGRAM else 1


SECONDS: Final = tuple(bound / 1_000_000 for bound in BOUNDS)
# Breaker states as numbers, half-open between the extremes.
STATES: Final = {"closed": 0, "half_open": 1, "open": 2}


def _counter(name: str, text: str, *labels: str) -> MetricFamily:
    return MetricFamily(name, MetricKind.COUNTER, text, labels)


def _gauge(name: str, text: str, *labels: str, merge: MergeRule = MergeRule.SUM) -> MetricFamily:
    return MetricFamily(name, MetricKind.GAUGE, text, labels, merge)


def _seconds(name: str, text: str, *labels: str, bounds: Sequence[float] = SECONDS) -> MetricFamily:
    return MetricFamily(name, MetricKind.HISTOGRAM, text, labels, bounds=tuple(bounds))


# Counted as each request is settled...

REQUESTS: Final = _counter(
    "gateway_requests",
    'Requests by what was asked for and how they ended. Model "" is one that no provider was asked'
    " for.",
    *("model", "provider", "token", "status", "end_reason", "operation"),
)
DURATION: Final = _seconds(
    "gateway_request_duration_seconds",
    'From the arrival of a request to its end. Provider "" is where none has answered.',
    *("model", "provider"),
)
FIRST_EVENT: Final = _seconds(
    "gateway_time_to_first_event_seconds",
    "From the arrival of a request to the first event or byte of its answer.",
    *("model", "provider"),
)
TOKENS: Final = _counter(
    "gateway_tokens",
    "Tokens that providers reported; cached ones are part of input, reasoning ones of output.",
    *("model", "provider", "token", "type"),
)
COST: Final = _counter(
    "gateway_cost_usd",
    "What answers cost in US dollars, estimated where no usage was reported; known costs only.",
    *("model", "provider", "token"),
)
COST_UNKNOWN: Final = _counter(
    "gateway_cost_unknown_requests",
    "Requests that were answered at a cost that is not known: no price or no usage.",
    *("model", "provider", "token"),
)
ATTEMPTS: Final = _counter(
    "gateway_attempts",
    'Attempts at providers by how they failed; cause "ok" did not.',
    *("provider", "provider_model", "cause"),
)
RETRIES: Final = _counter(
    "gateway_retries", "Attempts at the same deployment as the one before.", "provider"
)
FALLBACKS: Final = _counter(
    "gateway_fallbacks",
    "Attempts at another deployment than the one before, hedges too, by where they went.",
    "provider",
)
REFUSALS: Final = _counter(
    "gateway_refusals", "Requests that the gateway itself refused, by its reason.", "reason"
)
CACHE_HITS: Final = _counter(
    "gateway_cache_hits", "Requests answered from the cache or with another's answer.", "model"
)

# Read at each scrape, and once a second...

GAPS: Final = "gateway_inter_event_gap_seconds"
IN_FLIGHT: Final = _gauge("gateway_in_flight_requests", "Requests under way.")
WAITING: Final = _gauge("gateway_queue_waiting", "Requests that wait for a slot.", "of")
HELD: Final = _gauge("gateway_slots_held", "Slots in use.", "of")
LIMIT: Final = _gauge("gateway_slots_limit", "Slots there are, where they are limited.", "of")
BREAKER: Final = _gauge(
    "gateway_breaker_state",
    "Circuit breaker: 0 closed, 1 half-open, 2 open; the worst of all workers.",
    "deployment",
    merge=MergeRule.MAX,
)
AVAILABLE: Final = _gauge(
    "gateway_deployment_available",
    "1 if an attempt would be let through now, in every worker.",
    "deployment",
    merge=MergeRule.MIN,
)
DEPLOYMENT_IN_FLIGHT: Final = _gauge(
    "gateway_deployment_in_flight", "Attempts under way.", "deployment"
)
OPENS: Final = _counter("gateway_breaker_opens", "Times a breaker has opened.", "deployment")
REJECTED: Final = _counter(
    "gateway_breaker_rejections", "Attempts that a breaker has turned away.", "deployment"
)
EXHAUSTED: Final = _counter(
    "gateway_retry_budget_exhausted", "Retries not made for want of budget.", "deployment"
)
UNSERVED: Final = _counter(
    "gateway_unserved_requests",
    'Requests for paths or methods that are not served; path "other" is one of no known API.',
    *("method", "path", "status"),
)
REFUSED_KEYS: Final = _counter(
    "gateway_refused_keys", "Requests whose key was refused, those without a record included."
)
LIMITS_DEGRADED: Final = _gauge(
    "gateway_limits_degraded",
    "1 while a worker keeps to its share of the limits, since it cannot ask those it shares with.",
    merge=MergeRule.MAX,
)
LIMITS_ALONE: Final = _counter(
    "gateway_limits_decided_alone", "Requests that a worker let in or refused by its share."
)
_BUDGET: Final = ("of", "name", "window")
BUDGET_LIMIT: Final = _gauge(
    "gateway_budget_limit_usd",
    "Budgets of tokens and teams in US dollars a window.",
    *_BUDGET,
    merge=MergeRule.MAX,
)
BUDGET_SPENT: Final = _gauge(
    "gateway_budget_spent_usd",
    "What is spent of a budget in its present window, as the worker says that knows most.",
    *_BUDGET,
    merge=MergeRule.MAX,
)
BUDGET_LEFT: Final = _gauge(
    "gateway_budget_left_usd",
    "What is neither spent of a budget nor reserved for requests under way.",
    *_BUDGET,
    merge=MergeRule.MIN,
)
LOG_QUEUE: Final = _gauge("gateway_log_queue_depth", "Records that wait to be stored.")
LOG_WRITTEN: Final = _counter("gateway_log_written", "Records stored.")
LOG_JOURNALED: Final = _counter(
    "gateway_log_journaled", "Records put aside in the journal since the store was not there."
)
LOG_DROPPED: Final = _counter("gateway_log_dropped", "Records lost.")
LOG_FAILING: Final = _gauge(
    "gateway_log_failing", "1 while a worker can't write to the store.", merge=MergeRule.MAX
)
JOURNAL: Final = _gauge("gateway_journal_bytes", "What the journal has on disk.")
CAPTURES_WRITTEN: Final = _counter("gateway_captures_written", "Requests in the debug log.")
CAPTURES_DROPPED: Final = _counter(
    "gateway_captures_dropped", "Requests that the debug log had no memory or no disk for."
)
LAG: Final = _gauge(
    "gateway_loop_lag_seconds",
    "How late the event loop is, or the next request to begin; the worst of all workers.",
    merge=MergeRule.MAX,
)
ENTRY_WAIT: Final = _gauge(
    "gateway_entry_wait_seconds",
    "How long the next request will wait before it begins; the worst of all workers.",
    merge=MergeRule.MAX,
)
ENTRY_WAITING: Final = _gauge("gateway_entry_waiting", "Requests that wait before they begin.")
TURNED_AWAY: Final = _counter(
    "gateway_turned_away", "Requests answered 503 before they began, for want of time."
)
CACHE_ENTRIES: Final = _gauge("gateway_cache_entries", "Answers in the cache.")
CACHE_BYTES: Final = _gauge("gateway_cache_bytes", "Memory that the cache takes.")
GENERATION: Final = _gauge(
    "gateway_config_generation",
    "How often a worker has loaded a configuration.",
    merge=MergeRule.MAX,
)
RELOADED: Final = _gauge(
    "gateway_config_last_reload_success_timestamp_seconds",
    "When the configuration in use was loaded; the oldest of all workers.",
    merge=MergeRule.MIN,
)
RELOAD_OK: Final = _gauge(
    "gateway_config_last_reload_successful",
    "0 if a worker could not load the configuration it was last given.",
    merge=MergeRule.MIN,
)
BUILD: Final = _gauge("gateway_build_info", "Always 1.", "version", "python", merge=MergeRule.MAX)
WORKERS: Final = _gauge("gateway_workers", "Processes that serve.")
CPU: Final = _counter("gateway_process_cpu_seconds", "Processor time of all workers.")
MEMORY: Final = _gauge("gateway_process_resident_memory_bytes", "Memory of all workers.")

_ALL: Final = [each for each in tuple(globals().values()) if isinstance(each, MetricFamily)]


def gap_family(bounds: Iterable[float]) -> MetricFamily:
    """Return the family of the gaps in streams, whose `bounds` are kept where they are counted."""
    text = "From one event of a streamed answer to the next."
    return _seconds(GAPS, text, bounds=tuple(bounds))


def table(gaps: MetricFamily | None) -> dict[str, MetricFamily]:
    """Return every family by name, in the order in which they are shown."""
    found = [*_ALL, gaps] if gaps is not None else _ALL
    return {family.name: family for family in found}
