from __future__ import annotations

import math

import pytest
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.core.limits.fair_queue import NEWEST_FIRST_AFTER, FairQueue, Waiter

from ...rounds import rounds


class Named(Waiter):
    def __init__(self, name: str, since: float = 0.0, until: float = math.inf) -> None:
        super().__init__(name[0], since, until)
        self.name = name


def line_up(names: str, waiting: FairQueue[Named] | None = None) -> FairQueue[Named]:
    """Put waiters like `a1` in a queue; the letter is the caller."""
    waiting = FairQueue() if waiting is None else waiting
    for name in names.split():
        waiting.add(Named(name))
    return waiting


def serve(waiting: FairQueue[Named], count: int = 10**9, now: float = 0.0) -> str:
    served: list[str] = []
    while len(served) < count and (waiter := waiting.next(now)) is not None:
        served.append(waiter.name)
    return " ".join(served)


@pytest.mark.parametrize(
    ("came", "served"),
    [
        ("", ""),
        ("a1", "a1"),
        ("a1 a2 a3", "a1 a2 a3"),
        # With one each it is first come, first served.
        ("a1 b1 c1", "a1 b1 c1"),
        ("a1 b1 b2 b3 c1", "a1 b1 c1 b2 b3"),
        ("a1 b1 a2 b2 a3 b3", "a1 b1 a2 b2 a3 b3"),
        # Whoever began with more than one lets the others go first, once.
        ("a1 a2 a3 b1", "b1 a1 a2 a3"),
        ("a1 a2 a3 b1 b2 c1", "b1 c1 a1 b2 a2 a3"),
    ],
)
def test_callers_take_turns(came: str, served: str) -> None:
    waiting = line_up(came)
    assert serve(waiting) == served
    assert len(waiting) == 0
    assert waiting.next(0.0) is None


@pytest.mark.parametrize("already_served", range(5))
def test_one_caller_with_a_thousand_delays_another_by_nothing(already_served: int) -> None:
    waiting = line_up(" ".join(f"a{n}" for n in range(1000)))
    serve(waiting, already_served)
    line_up("b0", waiting)
    assert serve(waiting, 1) == "b0"
    assert serve(waiting, 1) == f"a{already_served}"


def test_newcomers_overtake_for_one_turn_only() -> None:
    waiting = line_up("a1 a2 a3 a4")
    assert serve(waiting, 1) == "a1"
    line_up("b1 c1", waiting)
    assert serve(waiting, 1) == "b1"
    # Caller a's turn was not the last one: who comes now comes after it.
    line_up("d1 e1", waiting)
    assert serve(waiting) == "c1 a2 d1 e1 a3 a4"


def test_who_comes_back_at_once_gets_every_other_turn() -> None:
    waiting = line_up("a1 a2 a3 a4 b1")
    served = []
    for turn in range(5):
        served.append(serve(waiting, 1))
        if served[-1].startswith("b"):
            line_up(f"b{turn}", waiting)
    assert served == ["b1", "a1", "b0", "a2", "b2"]


def test_the_last_turn_is_forgotten_when_nobody_waits() -> None:
    waiting = line_up("a1")
    assert serve(waiting) == "a1"
    assert serve(line_up("a2 b1", waiting)) == "a2 b1"


@pytest.mark.parametrize(
    ("now", "served"),
    [
        (NEWEST_FIRST_AFTER, "a0 a1 a2"),  # not more than a second
        (1.05, "a2 a1 a0"),
        (1.25, "a2 a1 a0"),
    ],
)
def test_the_newest_goes_first_once_the_oldest_has_waited_for_long(now: float, served: str) -> None:
    waiting: FairQueue[Named] = FairQueue()
    for n in range(3):
        waiting.add(Named(f"a{n}", since=n / 10))
    assert serve(waiting, now=now) == served


def test_only_the_line_that_is_late_turns_round() -> None:
    waiting = line_up("a1 b1")
    for name in ("a2", "b2", "a3", "b3"):
        waiting.add(Named(name, since=0.8))
    first = waiting.next(0.9)
    assert first is not None
    assert first.name == "a1"
    # Of b the oldest has waited since 0.0, of a since 0.8.
    assert serve(waiting, now=1.1) == "b3 a2 b2 a3 b1"


def test_who_is_too_late_is_dropped_and_costs_its_caller_no_turn() -> None:
    waiting: FairQueue[Named] = FairQueue()
    waiting.add(Named("a1", until=0.5))
    waiting.add(Named("b1", until=0.5))
    waiting.add(Named("a2", until=0.6))
    waiting.add(Named("c1"))
    # Not even a moment is left at 0.5.
    assert serve(waiting, 1, now=0.5) == "a2"
    assert serve(waiting, now=0.5) == "c1"
    assert len(waiting) == 0
    assert repr(waiting) == "<FairQueue empty>"


def test_the_newest_first_are_dropped_too() -> None:
    waiting: FairQueue[Named] = FairQueue()
    for name, since, until in (("a1", 0.0, 2.0), ("a2", 0.5, 2.0), ("a3", 0.6, 1.4)):
        waiting.add(Named(name, since, until))
    assert serve(waiting, now=1.5) == "a2 a1"


def test_a_waiter_can_give_up() -> None:
    waiting: FairQueue[Named] = FairQueue()
    waiters = {name: Named(name) for name in ("a1", "a2", "b1")}
    for waiter in waiters.values():
        waiting.add(waiter)
    waiting.discard(waiters["a1"])
    assert repr(waiting) == "<FairQueue b 1, a 1>"
    waiting.discard(waiters["a1"])
    assert len(waiting) == 2
    waiting.discard(waiters["b1"])
    assert repr(waiting) == "<FairQueue a 1>"
    assert repr(waiters["a2"]) == "<Named of a since 0>"
    assert serve(waiting) == "a2"
    waiting.discard(waiters["a2"])
    assert len(waiting) == 0


def test_since_is_when_the_longest_wait_began() -> None:
    waiting: FairQueue[Named] = FairQueue()
    since = [waiting.since]
    for name, now in (("a1", 1.0), ("b1", 1.2), ("a2", 1.3)):
        waiting.add(Named(name, since=now))
        since.append(waiting.since)
    for name in ("a1", "b1", "a2"):
        assert serve(waiting, 1, now=1.5) == name
        since.append(waiting.since)
    assert since == [None, 1.0, 1.0, 1.0, 1.2, 1.3, None]


@pytest.mark.parametrize(
    ("came", "newcomer", "leaves"),
    [
        ("", "a", None),
        ("a1", "b", None),
        ("a1 b1 c1", "d", None),
        ("a1 a2", "b", "a2"),
        ("a1 a2 b1", "b", None),  # they would only change places
        ("a1 a2 a3 b1", "b", "a3"),
        ("a1 a2 a3 b1", "a", None),
        ("a1 b1 b2 b3 c1 c2", "a", "b3"),
        ("a1 b1 b2 b3 c1 c2", "c", None),
        ("a1 b1 b2 b3 c1 c2", "d", "b3"),
        ("a1 a2 a3 a4 b1 b2 c1 d1", "b", None),  # two are its share of eight
    ],
)
def test_the_longest_line_makes_room(came: str, newcomer: str, leaves: str | None) -> None:
    waiting = line_up(came)
    before = len(waiting)
    left = waiting.make_room(newcomer, 0.0)
    assert (left and left.name) == leaves
    assert len(waiting) == before - (leaves is not None)


def test_room_is_made_by_who_would_be_served_last() -> None:
    left = line_up("a1 a2 a3").make_room("b", 1.5)
    assert left is not None
    assert left.name == "a1"


def test_all_can_be_sent_away() -> None:
    waiting = line_up("a1 b1 a2")
    assert [waiter.name for waiter in waiting.clear()] == ["a1", "a2", "b1"]
    assert len(waiting) == 0
    assert waiting.next(0.0) is None
    assert waiting.clear() == []


class Queue(RuleBasedStateMachine):
    """Against a list of who waits, and of the turns that each caller saw others get."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: FairQueue[Named] = FairQueue()
        self.model: list[Named] = []
        self.now = 0.0
        # For each caller that waits: whose turns it has seen since it came or was served.
        self.seen: dict[str, list[str]] = {}

    def lines(self) -> dict[str, list[Named]]:
        lines: dict[str, list[Named]] = {}
        for waiter in self.model:
            lines.setdefault(waiter.caller, []).append(waiter)
        return lines

    def forget(self, waiter: Named) -> None:
        self.model.remove(waiter)
        if waiter.caller not in self.lines():
            del self.seen[waiter.caller]

    @rule(caller=st.sampled_from("abcd"), patience=st.sampled_from([0.3, 2.0, math.inf]))
    def come(self, caller: str, patience: float) -> None:
        waiter = Named(caller, self.now, self.now + patience)
        self.waiting.add(waiter)
        self.model.append(waiter)
        self.seen.setdefault(caller, [])

    @rule(seconds=st.sampled_from([0.1, 0.4, 1.5]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def serve(self) -> None:
        served = self.waiting.next(self.now)
        in_time = [waiter for waiter in self.model if waiter.until > self.now]
        if served is None:
            assert not in_time
            for waiter in list(self.model):
                self.forget(waiter)
            return
        assert served in in_time
        line = self.lines()[served.caller]
        late = self.now - line[0].since > NEWEST_FIRST_AFTER
        mine = [waiter for waiter in line if waiter.until > self.now]
        # Which way the line goes can turn when its oldest is dropped.
        assert served in ((mine[-1], mine[0]) if late else (mine[0],))
        self.seen[served.caller] = []
        self.forget(served)
        # What was dropped on the way is found out by whether it can still be discarded.
        for waiter in [each for each in self.model if each.until <= self.now]:
            before = len(self.waiting)
            self.waiting.discard(waiter)
            assert before - len(self.waiting) in (0, 1)
            self.forget(waiter)
        for caller, seen in self.seen.items():
            if caller != served.caller:
                seen.append(served.caller)
                # Nobody gets a second turn while another waits for its first.
                assert len(set(seen)) == len(seen), (caller, seen)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        waiter = data.draw(st.sampled_from(self.model))
        self.waiting.discard(waiter)
        self.forget(waiter)

    @rule(caller=st.sampled_from("abcd"))
    def make_room(self, caller: str) -> None:
        lines = {who: len(line) for who, line in self.lines().items()}
        assume(lines)
        own, longest = lines.get(caller, 0), max(lines.values())
        left = self.waiting.make_room(caller, self.now)
        share = len(self.model) / len(lines)
        assert (left is not None) == (own < share and longest >= own + 2)
        if left is not None:
            assert lines[left.caller] == longest
            self.forget(left)

    @invariant()
    def all_are_there(self) -> None:
        assert len(self.waiting) == len(self.model)
        assert self.waiting.since == min((waiter.since for waiter in self.model), default=None)


TestQueue = Queue.TestCase
TestQueue.settings = settings(max_examples=rounds(15, 300), stateful_step_count=40)
