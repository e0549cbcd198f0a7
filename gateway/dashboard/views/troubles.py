"""What is wrong right now, worst first, each with what it means and where to look.

Made of what the process knows by itself, so it is there even when the database is not.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from .. import formats, links
from .budgets import BudgetUse

# Of a budget: a person should know before it is spent.
NEARLY: Final = 0.8
# Seconds. A request for which nothing has come so long is worth a look.
HUNG: Final = 60.0
# Milliseconds that the event loop is late: requests feel that.
_LATE: Final = 100.0


class Severity(enum.IntEnum):
    BAD = 0  # requests fail, or records are lost
    WARN = 1  # it will be bad, or it is for some
    NOTE = 2  # worth knowing


class Trouble(msgspec.Struct, frozen=True):
    severity: Severity
    title: str
    detail: str
    link: str | None = None
    action: str = "Look"

    @property
    def state(self) -> str:
        return {Severity.BAD: "bad", Severity.WARN: "warn", Severity.NOTE: "off"}[self.severity]


def troubles(
    state: Mapping[str, Any],
    models: Mapping[str, Sequence[str]],
    budgets: Sequence[BudgetUse] = (),
    oldest: Sequence[Any] = (),
) -> list[Trouble]:
    """Return what is wrong in `state`, which is what the admin API shows as status.

    `models` has the deployments of each model; `oldest` are the oldest requests under way.
    """
    found = [
        *_process(state),
        *_silent(state.get("silent", ())),
        *_hosts(state.get("hosts", ()), state.get("hosts_error")),
        *_store(state.get("store"), state.get("debug_log")),
        *_models(state["deployments"], models),
        *_deployments(state["deployments"]),
        *_slots(state["slots"]),
        *_budgets(budgets),
        *_hung(oldest),
    ]
    return sorted(found, key=lambda each: each.severity)


def _process(state: Mapping[str, Any]) -> Iterator[Trouble]:
    if state["phase"] != "running":
        yield Trouble(Severity.WARN, "This process is going away", f"It is {state['phase']}.")
    config = state["config"]
    if config.last_error is not None:
        problems = config.last_error.problems
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        yield Trouble(
            Severity.BAD,
            "The last reload failed",
            f"The configuration of before is still in use. {problems[0]}{more}",
            links.to("settings"),
            "See what is wrong",
        )
    if config.needs_restart:
        names = ", ".join(config.needs_restart)
        yield Trouble(
            Severity.WARN,
            "A change waits for a restart",
            f"The file has changed {names}, which a reload cannot.",
            links.to("settings"),
        )
    if state["loop_lag_ms"] > _LATE:
        yield Trouble(
            Severity.WARN,
            "This process is overloaded",
            f"Requests wait {state['loop_lag_ms']:.0f} ms for their turn; "
            f"{formats.number(state['entry']['turned_away'])} were turned away since its start.",
        )


def _silent(workers: Sequence[int]) -> Iterator[Trouble]:
    if workers:
        names = ", ".join(map(str, workers))
        one = len(workers) == 1
        yield Trouble(
            Severity.WARN,
            f"Worker {names} does not say how it is" if one else f"Workers {names} say nothing",
            "Busy, or just being replaced. What it does is missing in what is shown of this moment."
            if one
            else "Busy, or just being replaced. What they do is missing in what is shown.",
        )


def _hosts(hosts: Sequence[Mapping[str, Any]], error: str | None) -> Iterator[Trouble]:
    """Yield what is wrong with other processes and hosts."""
    link = links.to("settings")
    if error:
        yield Trouble(Severity.WARN, "Not all processes may be known", error, link)
    known = [each for host in hosts for each in host["processes"]]
    quiet = [f"{each['host']}/{each['pid']}" for each in known if not each["alive"]]
    if quiet:
        more = "They say" if len(quiet) > 1 else "It says"
        title = f"{len(quiet)} of {len(known)} processes are silent"
        yield Trouble(Severity.WARN, title, f"{', '.join(quiet)}. {more} nothing any more.", link)
    alone = [each for each in known if each["alive"] and each["state"].get("limits") == "degraded"]
    if alone:
        title = f"{len(alone)} of {len(known)} processes cannot share their limits"
        detail = "Each keeps to its share of them until it can ask again."
        yield Trouble(Severity.WARN, title, detail, link)
    drained = [each for each in known if each["drained"]]
    if drained:
        title = f"{len(drained)} of {len(known)} processes are drained"
        yield Trouble(Severity.NOTE, title, "An operator wants them out of service.", link)
    if len(versions := sorted({each["version"] for each in known if each["alive"]})) > 1:
        yield Trouble(Severity.NOTE, "Processes are of several versions", ", ".join(versions), link)


def _store(store: Mapping[str, Any] | None, debug: Mapping[str, Any] | None) -> Iterator[Trouble]:
    if store is not None:
        if store["since"] is not None:
            yield Trouble(
                Severity.BAD,
                "The database takes no records",
                f"{store['last_error']}. Records wait in the journal "
                f"({formats.size(store['journal_bytes'])}), and none is lost while it has room.",
                links.to("settings"),
            )
        elif store["journal_bytes"]:
            yield Trouble(
                Severity.NOTE,
                "The database is catching up",
                f"{formats.size(store['journal_bytes'])} of records are still in the journal.",
                links.to("settings"),
            )
        lost = store["crowded_out"] + store["rejected"] + store["lost"]
        if lost:
            yield Trouble(
                Severity.BAD,
                f"{formats.number(lost)} records will never be in the database",
                "Since the start of this process. The log says why.",
                links.to("settings"),
            )
    if debug is not None and debug["last_error"]:
        yield Trouble(
            Severity.WARN,
            "The debug log cannot be written",
            str(debug["last_error"]),
            links.to("settings"),
        )


def _models(
    deployments: Sequence[Mapping[str, Any]], models: Mapping[str, Sequence[str]]
) -> Iterator[Trouble]:
    available = {each["name"]: each["available"] for each in deployments}
    for model, names in models.items():
        known = [available[name] for name in names if name in available]
        if known and not any(known):
            yield Trouble(
                Severity.BAD,
                f"{model} cannot be served",
                "None of its deployments takes requests: " + ", ".join(names) + ".",
                links.to("models"),
                "See its deployments",
            )


def _deployments(deployments: Sequence[Mapping[str, Any]]) -> Iterator[Trouble]:
    for each in deployments:
        name, link = each["name"], links.to("requests", provider=each["name"].partition("/")[0],
                                            status="error")  # fmt: skip
        if each["state"] != "closed":
            times = "once" if each["opens"] == 1 else f"{each['opens']} times"
            opened = f"Its breaker has opened {times} since the start"
            failed = ", ".join(f"{count} {cause}" for cause, count in each["failures"].items())
            word = "open" if each["state"] == "open" else "trying again, one request at a time"
            states = each.get("states", {})
            if (many := sum(states.values())) > 1:
                word += f" in {states[each['state']]} of {many} processes"
            yield Trouble(
                Severity.WARN,
                f"{name}: breaker {word}",
                f"{opened}. Failures: {failed or 'none'}.",
                link,
                "See its failures",
            )
        refused = [key["label"] for key in each["keys"] if key["refused"]]
        if refused:
            yield Trouble(
                Severity.BAD if len(refused) == len(each["keys"]) else Severity.WARN,
                f"{name}: the provider refuses {', '.join(refused)}",
                "Wrong, revoked, or an account without money. It is tried again by itself.",
                link,
                "See its failures",
            )
        resting = [key for key in each["keys"] if key["rests_s"] > 0 and not key["refused"]]
        if resting:
            longest = max(key["rests_s"] for key in resting)
            yield Trouble(
                Severity.WARN if len(resting) == len(each["keys"]) else Severity.NOTE,
                f"{name}: {len(resting)} of {len(each['keys'])} keys are at their rate limit",
                f"The provider said so; the longest rests for {formats.span(longest)} more.",
                links.to("models"),
            )


def _slots(slots: Sequence[Mapping[str, Any]]) -> Iterator[Trouble]:
    for each in slots:
        if each["waiting"]:
            limit = "" if each["limit"] is None else f" of {each['limit']}"
            yield Trouble(
                Severity.WARN,
                f"{each['waiting']} requests wait for a place: {each['of']}",
                f"{each['held']}{limit} places are taken.",
                links.to("models"),
            )


def _budgets(budgets: Sequence[BudgetUse]) -> Iterator[Trouble]:
    for each in budgets:
        if each.share < NEARLY:
            break
        spent = each.share >= 1
        yield Trouble(
            Severity.BAD if spent else Severity.WARN,
            f"{each.shown}: its budget is {'spent' if spent else 'nearly spent'}",
            f"{formats.money(each.spent)} of {formats.money(each.budget.nano)} a "
            f"{each.budget.window}, {formats.percent(each.share)}.",
            links.to("usage", **{each.by: each.token}),
            "See its usage",
        )


def _hung(oldest: Sequence[Any]) -> Iterator[Trouble]:
    hung = [each for each in oldest if each.age_s > HUNG and each.events == 0]
    if hung:
        first = hung[0]
        where = first.provider or "no provider yet"
        yield Trouble(
            Severity.WARN,
            f"{len(hung)} requests have had no answer for over {formats.span(HUNG)}",
            f"The oldest for {formats.span(first.age_s)}: {first.model}, at {where}.",
        )
