from __future__ import annotations

from typing import Any

from gateway.core.processes import ProcessDrain, ProcessRow, drain_of
from gateway.group.known.hosts import hosts_of, views

NOW = 1_790_000_000.0


def row(id: str, host: str, silent: float = 0.0, **state: Any) -> ProcessRow:
    return ProcessRow(
        id=id, host=host, pid=7, version="1", started=NOW - 60, seen=NOW - silent, state=state
    )


def test_hosts_have_what_their_processes_have_together() -> None:
    rows = [
        row("a", "one", in_flight=2, load=0.25),
        row("b", "one", 1.0, in_flight=3, load=0.5),
        # What is silent counts for nothing, and what is gone is not there.
        row("c", "one", 10.0, in_flight=100, load=1.0),
        row("d", "two", 16.0, in_flight=5),
        # Of another version, which says less or something else.
        row("e", "three", in_flight="many"),
    ]
    one, three = sorted(hosts_of(rows, NOW), key=lambda host: host.name)
    assert (one.name, one.alive, one.in_flight, one.load) == ("one", True, 5, 0.75)
    assert [(each.id, each.alive, each.silent_s) for each in one.processes] == [
        ("a", True, None),
        ("b", True, None),
        ("c", False, 10.0),
    ]
    assert (three.in_flight, three.load) == (0, 0)
    assert [each.id for each in views(rows, NOW)] == ["a", "b", "c", "d", "e"]


def test_a_host_of_which_all_are_silent_is() -> None:
    (host,) = hosts_of([row("a", "one", 8.0, in_flight=2)], NOW)
    assert (host.alive, host.in_flight, host.versions) == (False, 0, ())


def test_drains_are_of_hosts_and_of_processes() -> None:
    drains = [
        ProcessDrain(target="host:one", until=NOW + 60, by="x"),
        ProcessDrain(target="process:a", until=NOW + 90, by="y", reason="z"),
        ProcessDrain(target="process:b", until=NOW, by="over"),
    ]
    one, two = hosts_of([row("a", "one"), row("c", "one"), row("b", "two")], NOW, drains)
    assert one.drained is not None
    assert (one.drained.until, one.drained.by) == (round((NOW + 60) * 1_000_000), "x")
    assert [each.drained.by if each.drained else None for each in one.processes] == ["y", "x"]
    assert (two.drained, two.processes[0].drained) == (None, None)
    # A process is not taken for a host of the same name.
    assert drain_of(drains, "a", None, NOW) is None
