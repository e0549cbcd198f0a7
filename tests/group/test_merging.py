"""What is counted is added up, and what is bad prevails."""

from __future__ import annotations

import msgspec

from gateway.config.reload_status import ReloadFailure
from gateway.group.merging import merged, shown
from gateway.group.process_state import CacheState, EntryState, ProviderKeyState, SlotState

from .states import RELOADS, deployment, process


def test_a_process_that_is_alone_is_the_group() -> None:
    own = process(store={"waiting": 3})
    found = merged([own])
    assert msgspec.to_builtins(found) == msgspec.to_builtins(own)
    assert b"processes" not in msgspec.json.encode(found)
    assert merged([own], (1,)).silent == (1,)
    assert merged([own], (1,)).processes == (own,)


def test_counts_are_added_up() -> None:
    found = merged(
        [
            process(worker=0, store={"waiting": 1, "since": None, "last_error": None}),
            process(
                worker=1,
                pid=2,
                in_flight=4,
                loop_lag_ms=9.0,
                entry=EntryState(2, 1.0, 1),
                slots=[SlotState("all", 5, 10, 0), SlotState("p", 1, None, 0)],
                cache=CacheState(1, 100),
                store={"waiting": 2, "since": 5.0, "last_error": "disk full"},
            ),
        ]
    )
    assert (found.pid, found.worker, found.in_flight, found.loop_lag_ms) == (1, None, 7, 9.0)
    assert found.entry == EntryState(3, 2.0, 5)
    assert found.slots == [SlotState("all", 8, 20, 1), SlotState("p", 1, None, 0)]
    assert found.cache == CacheState(3, 300)
    assert found.store == {"waiting": 3, "since": 5.0, "last_error": "disk full"}
    assert [(each.pid, each.in_flight) for each in found.processes] == [(1, 3), (2, 4)]


def test_a_breaker_is_as_bad_as_the_worst_and_what_one_process_knows_is_known() -> None:
    resting = ProviderKeyState("key 1", refused=False, rests_s=7.0)
    refused = ProviderKeyState("key 1", refused=True, rests_s=1.0)
    opened = deployment(
        state="open", opens=2, failures={"server_error": 5}, attempts=30, first_event_ms=40.0,
        keys=[resting], drained_s=4.0,
    )  # fmt: skip
    well = deployment(failures={"server_error": 1, "timeout": 1}, first_event_ms=20.0,
                      keys=[refused])  # fmt: skip
    other = deployment(name="q/m")
    for states in ([[opened], [well, other]], [[well, other], [opened]]):
        found = merged([process(deployments=each) for each in states]).deployments
        one = next(each for each in found if each.name == "p/m")
        assert (one.state, one.states) == ("open", {"open": 1, "closed": 1})
        assert one.available
        assert (one.attempts, one.opens, one.in_flight) == (40, 2, 2)
        assert one.failures == {"server_error": 6, "timeout": 1}
        # By attempts: 30 of 40 ms, 10 of 20 ms.
        assert one.first_event_ms == 35.0
        assert one.keys == [ProviderKeyState("key 1", refused=True, rests_s=7.0)]
        assert one.drained_s == 4.0
        assert other in found


def test_a_reload_that_failed_anywhere_is_seen() -> None:
    failure = ReloadFailure("2026-01-01T00:00:01Z", ("[lgo]: unknown key",))
    failed = msgspec.structs.replace(RELOADS, last_error=failure)
    assert merged([process(), process(config=failed)]).config.last_error == failure


def test_pages_see_dicts() -> None:
    found = shown(merged([process(), process()], (2,)))
    assert found["deployments"][0]["states"] == {"closed": 2}
    assert found["config"].generation == 1
    assert found["silent"] == (2,)
    assert "store" not in found
