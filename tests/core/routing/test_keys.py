from __future__ import annotations

from collections import Counter

import pytest

from gateway.core.routing.blame.source import Source
from gateway.core.routing.keys import (
    BAD_FIRST,
    BAD_LAST,
    LIMITED_FIRST,
    LIMITED_LAST,
    LIMITED_LONGEST,
    Key,
    Keyring,
)


def ring(size: int) -> tuple[Keyring, list[Key]]:
    keys = [Key(f"id{number}", f"key {number}") for number in range(1, size + 1)]
    return Keyring(keys), keys


def picks(keyring: Keyring, times: int, now: float = 0.0) -> list[str | None]:
    return [key.id if (key := keyring.pick(now)) else None for _ in range(times)]


# Whose turn it is...


def test_keys_take_turns() -> None:
    keyring, _ = ring(3)
    assert picks(keyring, 7) == ["id1", "id2", "id3", "id1", "id2", "id3", "id1"]


def test_those_that_are_left_take_turns() -> None:
    keyring, keys = ring(4)
    keyring.limit(keys[1], 0, 10)
    assert Counter(picks(keyring, 300)) == {"id1": 100, "id3": 100, "id4": 100}
    assert Counter(picks(keyring, 400, now=10)) == {f"id{n}": 100 for n in (1, 2, 3, 4)}


def test_a_single_key_is_used_until_it_rests_and_again_at_that_moment() -> None:
    keyring, (key,) = ring(1)
    assert picks(keyring, 3) == ["id1"] * 3
    keyring.limit(key, 0, 2.5)
    assert keyring.pick(2.499) is None
    assert not keyring.usable(2.499)
    assert keyring.pick(2.5) is key
    assert keyring.usable(2.5)


def test_none_is_picked_if_all_rest_and_the_first_one_back_says_when() -> None:
    keyring, keys = ring(3)
    for key, seconds in zip(keys, (30, 10, 20), strict=True):
        keyring.limit(key, 0, seconds)
    assert picks(keyring, 2) == [None, None]
    assert not keyring.usable(9.9)
    assert keyring.free_at() == 10
    assert picks(keyring, 2, now=10) == ["id2", "id2"]
    assert [keyring.rests(key, 15) for key in keys] == [15, 0, 5]


@pytest.mark.parametrize("bad", [0, 1])
def test_usable_sees_a_key_that_another_deployment_had_refused(bad: int) -> None:
    keyring, keys = ring(2)
    keys[bad].set_aside(0, "401")
    assert keyring.usable(0)
    assert keyring.pick(0) is keys[1 - bad]
    keys[1 - bad].set_aside(0, "401")
    assert not keyring.usable(29.9)
    assert keyring.pick(29.9) is None
    assert keyring.usable(30)


def test_unburdened_is_who_has_nothing_to_wait_for_or_to_forget() -> None:
    keyring, (one, two) = ring(2)
    seen = [keyring.unburdened]
    keyring.limit(one, 0, 1)
    seen.append(keyring.unburdened)
    keyring.accepted(one, 1)
    seen.append(keyring.unburdened)
    two.set_aside(1, "401")
    seen.append(keyring.unburdened)
    keyring.accepted(two, 31)
    seen.append(keyring.unburdened)
    assert seen == [True, False, True, False, True]


# What was asked for, and guesses...


def test_a_limit_lasts_as_long_as_the_provider_says_and_never_gets_shorter() -> None:
    keyring, (key,) = ring(1)
    assert keyring.limit(key, 100, 7.5) == 7.5
    assert keyring.limit(key, 101, 1) == 6.5
    assert keyring.limit(key, 101, 60) == 60
    assert keyring.free_at() == 161
    assert keyring.pick(161) is key


def test_no_wait_at_all_is_not_believed_of_who_refuses() -> None:
    keyring, (key,) = ring(1)
    assert keyring.limit(key, 100, 0.0) == LIMITED_FIRST
    assert keyring.pick(100) is None
    # A call that was under way meanwhile is no new strike.
    assert keyring.limit(key, 100.25, 0.0) == LIMITED_FIRST - 0.25
    assert keyring.limit(key, 101, 0.0) == 2 * LIMITED_FIRST


@pytest.mark.parametrize("asked", [301.0, 86400.0, 365 * 86400.0])
def test_no_wait_is_longer_than_some_minutes(asked: float) -> None:
    keyring, (key,) = ring(1)
    assert keyring.limit(key, 100, asked) == LIMITED_LONGEST
    assert keyring.pick(100 + LIMITED_LONGEST) is key


def test_guesses_double_up_to_the_most() -> None:
    keyring, (key,) = ring(1)
    now, found = 0.0, []
    for _ in range(8):
        found.append(keyring.limit(key, now, None))
        now = keyring.free_at()
    assert found == [LIMITED_FIRST, 2, 4, 8, 16, LIMITED_LAST, LIMITED_LAST, LIMITED_LAST]


def test_a_crowd_that_is_limited_in_one_moment_is_one_strike() -> None:
    keyring, (key,) = ring(1)
    assert [keyring.limit(key, 0.5, None) for _ in range(50)] == [LIMITED_FIRST] * 50
    assert keyring.limit(key, 1.0, None) == 0.5
    assert keyring.limit(key, 1.5, None) == 2 * LIMITED_FIRST


def test_an_answer_ends_the_growth() -> None:
    keyring, (key,) = ring(1)
    keyring.limit(key, 0, None)
    keyring.limit(key, 1, None)
    keyring.accepted(key, 3)
    assert keyring.limit(key, 4, None) == LIMITED_FIRST


def test_an_answer_to_a_call_from_before_does_not_end_a_rest() -> None:
    keyring, (here, everywhere) = ring(2)
    keyring.limit(here, 0, None)
    keyring.refuse(everywhere, 0, "401", everywhere=True)
    keyring.accepted(here, 0.9)
    keyring.accepted(everywhere, 29.9)
    assert keyring.free_at() == 1
    assert keyring.limit(here, 1, None) == 2
    assert everywhere.refused == "401"
    assert everywhere.bad_until == 30


# Keys that are refused...


@pytest.mark.parametrize("everywhere", [True, False])
def test_a_refused_key_rests_longer_each_time(everywhere: bool) -> None:
    keyring, (key,) = ring(1)
    now, found = 0.0, []
    for _ in range(7):
        found.append(keyring.refuse(key, now, "no", everywhere=everywhere))
        # A call that was under way is no second strike.
        assert keyring.refuse(key, now + 10, "no", everywhere=everywhere) == found[-1] - 10
        now = keyring.free_at()
    assert found == [BAD_FIRST, 60, 120, 240, 480, BAD_LAST, BAD_LAST]
    keyring.accepted(key, now)
    assert keyring.why_refused(key) is None
    assert keyring.refuse(key, now, "no", everywhere=everywhere) == BAD_FIRST


def test_doubts_are_counted_by_key_until_it_is_accepted() -> None:
    keyring, (one, two) = ring(2)
    assert [keyring.doubt(key).count for key in (one, one, two)] == [1, 2, 1]
    # They set nothing aside.
    assert Counter(picks(keyring, 4)) == {"id1": 2, "id2": 2}
    keyring.accepted(two, 0)
    assert [keyring.doubt(one).count, keyring.doubt(two).count] == [3, 1]
    keyring.accepted(one, 0)
    assert keyring.doubt(one).count == 1


def test_a_key_that_was_refused_to_this_very_request_comes_last() -> None:
    keyring, (one, two) = ring(2)
    refused, other = Source("a", b"1"), Source("a", b"2")
    keyring.doubt(one, refused)
    assert [keyring.pick(0, refused) for _ in range(3)] == [two] * 3
    assert {keyring.pick(0, other) for _ in range(4)} == {one, two}
    # Better than none.
    keyring.doubt(two, refused)
    assert keyring.pick(0, refused) is not None
    assert keyring.doubted(two, refused)
    assert not keyring.doubted(two, other)
    keyring.accepted(two, 0)
    assert not keyring.doubted(two, refused)
    keyring.limit(two, 0, 5)
    assert keyring.pick(0, refused) is one


def test_strikes_without_end_do_not_overflow() -> None:
    key, keyring = Key("a", "key 1"), Keyring([Key("b", "key 2")])
    for _ in range(3000):
        assert key.set_aside(key.bad_until, "401") <= BAD_LAST
        assert keyring.limit(keyring.keys[0], keyring.free_at(), None) <= LIMITED_LAST


def test_refused_everywhere_is_seen_by_all_deployments_and_here_by_one() -> None:
    keys = [Key("a", "key 1"), Key("b", "key 2")]
    one, other = Keyring(keys), Keyring(keys)
    one.refuse(keys[0], 0, "401 unknown", everywhere=True)
    one.refuse(keys[1], 0, "403 no access to this model", everywhere=False)
    assert one.pick(1) is None
    assert other.pick(1) is keys[1]
    assert (one.all_refused, other.all_refused) == (True, False)
    assert other.why_refused(keys[0]) == "401 unknown"
    assert one.why_refused(keys[1]) == "403 no access to this model"
    assert other.why_refused(keys[1]) is None


def test_limited_is_not_refused() -> None:
    keyring, keys = ring(2)
    keyring.limit(keys[0], 0, 60)
    keyring.refuse(keys[1], 0, "401", everywhere=True)
    assert not keyring.all_refused
    keyring.refuse(keys[0], 0, "403", everywhere=False)
    assert keyring.all_refused


def test_a_refusal_outlasts_the_limit_that_it_falls_into() -> None:
    keyring, (key,) = ring(1)
    keyring.limit(key, 0, 1)
    assert keyring.refuse(key, 0.5, "403", everywhere=False) >= BAD_FIRST
    assert keyring.pick(2) is None


def test_a_limit_outlasts_the_refusal_that_falls_into_it() -> None:
    keyring, (key,) = ring(1)
    keyring.limit(key, 0, 300)
    assert keyring.refuse(key, 10, "403", everywhere=False) == 290


# After a reload...


def test_replace_keeps_what_is_known_of_keys_that_stay() -> None:
    keyring, (one, two, three) = ring(3)
    keyring.limit(one, 0, None)
    keyring.refuse(two, 0, "403", everywhere=False)
    new = Key("new", "key 4")
    keyring.replace([two, new])
    assert keyring.keys == (two, new)
    assert keyring.why_refused(two) == "403"
    assert set(picks(keyring, 4, now=29.9)) == {"new"}
    assert set(picks(keyring, 4, now=30)) == {"id2", "new"}
    assert keyring.refuse(two, 30, "403", everywhere=False) == 60
    # What was known of those that went is gone, also if they come back.
    keyring.replace([one, three])
    assert keyring.pick(0) is not None
    assert keyring.unburdened
    assert keyring.limit(one, 0, None) == LIMITED_FIRST


def test_replace_by_fewer_keys_goes_on_with_the_turns() -> None:
    keyring, keys = ring(3)
    picks(keyring, 3)
    keyring.replace(keys[:2])
    assert Counter(picks(keyring, 10)) == {"id1": 5, "id2": 5}


def test_repr_shows_labels_and_never_ids() -> None:
    keyring, keys = ring(2)
    keys[1].set_aside(0, "401")
    assert repr(keyring) == "<Keyring (<Key key 1>, <Key key 2 401>)>"
