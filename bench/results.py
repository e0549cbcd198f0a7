"""What a session measured, its medians over the rounds, and how they compare with the targets."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from .scenarios import SCENARIOS
from .subjects import DIRECT
from .window import Counted


class Sample(msgspec.Struct, frozen=True):
    """One subject under one scenario in one round.

    CPU is in seconds within the counted window, of whole process trees, `other_cpu` of everything
    else on the machine; `rss` in bytes at its end. `late_ms` is how far behind its pace the
    provider was at worst.
    """

    scenario: str
    subject: str
    round: int
    counted: Counted
    cpu: float
    load_cpu: float
    provider_cpu: float
    other_cpu: float
    rss: int
    late_ms: float

    @property
    def units(self) -> int:
        streamed = SCENARIOS[self.scenario].events > 0
        return self.counted.events if streamed else self.counted.requests

    @property
    def cost(self) -> float | None:
        """Return CPU microseconds per event, or per request if not streamed."""
        return self.cpu * 1e6 / self.units if self.units else None

    @property
    def rate(self) -> float:
        return self.units / self.counted.seconds


class StartUp(msgspec.Struct, frozen=True):
    """Seconds from a process's start to its first answered request, and its memory then."""

    subject: str
    round: int
    seconds: float
    rss: int


class Results(msgspec.Struct):
    machine: dict[str, str]
    notes: list[str]
    samples: list[Sample] = []
    start_ups: list[StartUp] = []

    def of(self, scenario: str, subject: str) -> list[Sample]:
        return [s for s in self.samples if (s.scenario, s.subject) == (scenario, subject)]

    def scenarios(self) -> list[str]:
        return list(dict.fromkeys(sample.scenario for sample in self.samples))

    def subjects(self) -> list[str]:
        return list(dict.fromkeys(sample.subject for sample in self.samples))


class Row(msgspec.Struct, frozen=True):
    """The medians of one subject under one scenario. Times in µs, `rss` in bytes.

    `added` is the delay per event (the time to the answer, not streamed) minus the direct one's.
    `busy` are the shares of one core that subject, load client and provider used, `other` what
    everything else on the machine did, at worst.
    """

    scenario: str
    subject: str
    rounds: int
    requests: float
    events: float
    cost: float | None
    spread: float | None
    first: tuple[float, float] | None
    delay: tuple[float, float] | None
    added: tuple[float, float] | None
    rss: float
    busy: tuple[float, float, float]
    other: float
    late_ms: float
    errors: dict[str, int]


def row(results: Results, scenario: str, subject: str) -> Row:
    """Return the medians over the rounds; errors are added up, `late_ms` is the worst."""
    samples = results.of(scenario, subject)
    counted = [sample.counted for sample in samples]
    costs = [sample.cost for sample in samples if sample.cost is not None]
    errors: dict[str, int] = {}
    for one in counted:
        for what, count in one.errors.items():
            errors[what] = errors.get(what, 0) + count

    def share(cpu: Callable[[Sample], float]) -> float:
        return statistics.median(cpu(sample) / sample.counted.seconds for sample in samples)

    delay = _delay(results, scenario, subject)
    through = _delay(results, scenario, DIRECT)
    return Row(
        scenario=scenario,
        subject=subject,
        rounds=len(samples),
        requests=statistics.median(one.requests / one.seconds for one in counted),
        events=statistics.median(one.events / one.seconds for one in counted),
        cost=statistics.median(costs) if costs else None,
        spread=max(costs) - min(costs) if costs else None,
        first=_medians((one.first.p50, one.first.p99) for one in counted if one.first),
        delay=delay,
        added=(delay[0] - through[0], delay[1] - through[1]) if delay and through else None,
        rss=max(sample.rss for sample in samples),
        busy=(
            share(lambda sample: sample.cpu),
            share(lambda sample: sample.load_cpu),
            share(lambda sample: sample.provider_cpu),
        ),
        other=max(sample.other_cpu / sample.counted.seconds for sample in samples),
        late_ms=max(sample.late_ms for sample in samples),
        errors=errors,
    )


def rows(results: Results) -> list[Row]:
    return [
        row(results, scenario, subject)
        for scenario in results.scenarios()
        for subject in results.subjects()
        if results.of(scenario, subject)
    ]


class Target(msgspec.Struct, frozen=True):
    """At most this many times the other's CPU per request or event."""

    scenario: str
    over: str
    most: float
    text: str


TARGETS: Final = (
    Target("nonstream", "litellm", 1 / 8, "≤ 1/8"),
    Target("nonstream", "hypercorn", 2.2, "≤ 2.2 x"),
    Target("burst", "litellm", 1 / 25, "≤ 1/25"),
    Target("paced64", "litellm", 1 / 7, "≤ 1/7"),
)
START_UP_SECONDS: Final = 1.5
START_UP_RSS: Final = 100e6


class Ratio(msgspec.Struct, frozen=True):
    """The gateway's cost over another's; `ok` None where the project has set no target."""

    scenario: str
    over: str
    ratio: float
    text: str
    ok: bool | None


def ratios(results: Results, subject: str = "gateway") -> list[Ratio]:
    """Return `subject`'s cost over that of every other but the direct connection."""
    targets = {(target.scenario, target.over): target for target in TARGETS}
    found = []
    for scenario in results.scenarios():
        own = _cost(results, scenario, subject)
        for other in results.subjects():
            cost = _cost(results, scenario, other)
            if other in (subject, DIRECT) or own is None or not cost:
                continue
            ratio, target = own / cost, targets.get((scenario, other))
            ok = ratio <= target.most if target else None
            found.append(Ratio(scenario, other, ratio, target.text if target else "", ok))
    return found


def start_up(results: Results, subject: str) -> tuple[float, float] | None:
    """Return the median seconds and bytes of a subject's starts, None if it was not started."""
    starts = [start for start in results.start_ups if start.subject == subject]
    return _medians((start.seconds, float(start.rss)) for start in starts)


def _cost(results: Results, scenario: str, subject: str) -> float | None:
    samples = results.of(scenario, subject)
    return row(results, scenario, subject).cost if samples else None


def _delay(results: Results, scenario: str, subject: str) -> tuple[float, float] | None:
    counted = [sample.counted for sample in results.of(scenario, subject)]
    spreads = [one.delay or one.whole for one in counted]
    return _medians((spread.p50, spread.p99) for spread in spreads if spread)


def _medians(pairs: Iterable[tuple[float, float]]) -> tuple[float, float] | None:
    found = list(pairs)
    if not found:
        return None
    return statistics.median(pair[0] for pair in found), statistics.median(p[1] for p in found)
