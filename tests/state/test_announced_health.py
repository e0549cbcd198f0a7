from __future__ import annotations

from typing import Any

import pytest

from gateway.core.news import BreakerNews, KeyNews, News, OrderNews
from gateway.core.routing.causes import Cause
from gateway.core.routing.health import Sample
from gateway.core.routing.target import Target
from gateway.state.announced_health import AnnouncedHealth

from .test_health import credential, deployment, enter, half

KEYS = (credential("k1"), credential("k2", "key 2"))
TWO = deployment("m", keys=KEYS)
OTHER = deployment("n", keys=KEYS)


class Process:
    """One process, and what it has announced."""

    def __init__(self) -> None:
        self.news: list[News] = []
        self.health = AnnouncedHealth(self.news.append)
        self.target = self.health.target(TWO)
        self.other = self.health.target(OTHER)

    def ends(self, now: float, cause: Cause | None = None, **sample: Any) -> None:
        entered = enter(self.health, self.target, now)
        self.health.leave(entered, Sample(cause, **sample), now, half)

    def hears(self, news: News, now: float) -> None:
        self.health.hear(news, now, half)


def told(now: float, cause: Cause | None, **sample: Any) -> tuple[Process, Process]:
    """Return a process that met `cause`, and one that was told what it announced."""
    one, two = Process(), Process()
    one.ends(now, cause, **sample)
    for each in one.news:
        two.hears(each, now)
    return one, two


def rests(target: Target, now: float) -> list[float]:
    return [target.keyring.rests(key, now) for key in target.keyring.keys]


def test_a_dead_key_rests_everywhere() -> None:
    one, two = told(10.0, Cause.AUTH_FAILED, status=401, error="invalid key")
    assert one.news == [KeyNews("p", "k1", 30.0, refused="invalid key")]
    for target in (two.target, two.other):
        assert rests(target, 10.0) == [30.0, 0.0]
        assert not target.clear
    key = two.target.keyring.keys[0]
    assert key.refused == "invalid key"
    # The next attempts are made with the other one.
    assert [enter(two.health, two.target, 11.0).key.id for _ in range(3)] == ["k2"] * 3
    # Nobody tells it on, and it is tried again when it has rested.
    assert two.news == []
    assert rests(two.target, 41.0) == [0.0, 0.0]


def test_a_key_that_is_taken_again_is_free_everywhere() -> None:
    one, two = told(10.0, Cause.ACCOUNT_REFUSED, status=402, error="no money")
    one.news.clear()
    two.hears(KeyNews("p", "k1", 600.0, refused="no money"), 20.0)
    for _ in KEYS:
        one.ends(45.0)
    assert one.news == [KeyNews("p", "k1", 0.0)]
    two.hears(one.news[0], 45.0)
    assert rests(two.target, 45.0) == [0.0, 0.0]
    assert two.target.keyring.why_refused(two.target.keyring.keys[0]) is None


def test_a_limited_key_rests_at_its_deployment_alone() -> None:
    one, two = told(10.0, Cause.RATE_LIMITED, status=429, retry_after=20.0)
    assert one.news == [KeyNews("p", "k1", 20.0, one.target.name)]
    assert rests(two.target, 10.0) == [20.0, 0.0]
    assert rests(two.other, 10.0) == [0.0, 0.0]
    # What is heard later, or again, makes it no longer.
    two.hears(one.news[0], 10.0)
    assert rests(two.target, 12.0) == [18.0, 0.0]


def test_the_longer_rest_counts() -> None:
    process = Process()
    process.ends(0.0, Cause.RATE_LIMITED, status=429, retry_after=60.0)
    process.hears(KeyNews("p", "k1", 5.0, process.target.name), 1.0)
    assert rests(process.target, 1.0)[0] == 59.0


def test_an_opened_breaker_is_taken_over_unless_one_is_served() -> None:
    one, served, idle = Process(), Process(), Process()
    for number in range(5):
        one.ends(10.0 + number, Cause.CONNECT_FAILED)
        served.ends(10.0 + number)
    assert one.news == [BreakerNews(one.target.name, open=True)]
    for each in (served, idle):
        each.hears(one.news[0], 15.0)
    assert served.target.breaker.closed
    assert not idle.target.breaker.closed
    assert idle.other.breaker.closed
    assert idle.news == []
    # It waits as long as after failures of its own, and no longer.
    assert idle.target.available(15.1) is False
    assert idle.target.probe_due(25.0)


def test_a_closed_breaker_lets_others_try_at_once() -> None:
    one, two = Process(), Process()
    for number in range(5):
        one.ends(10.0 + number, Cause.CONNECT_FAILED)
    two.hears(one.news[0], 14.0)
    assert not two.target.probe_due(14.5)
    one.news.clear()
    for now in (25.0, 26.0):
        entered = enter(one.health, one.target, now)
        one.health.answered(entered, now, half)
        one.health.leave(entered, Sample(None), now, half)
    assert one.news == [BreakerNews(one.target.name, open=False)]
    two.hears(one.news[0], 14.6)
    assert two.target.probe_due(14.6)


@pytest.mark.parametrize(
    "news",
    [
        KeyNews("nobody", "k1", 30.0, refused="x"),
        KeyNews("p", "k9", 30.0, refused="x"),
        KeyNews("p", "k1", 30.0, "p/none", "x"),
        BreakerNews("p/none", open=True),
        OrderNews(),
    ],
)
def test_news_of_what_is_not_here_changes_nothing(news: News) -> None:
    process = Process()
    process.hears(news, 1.0)
    assert rests(process.target, 1.0) == [0.0, 0.0]
    assert process.target.breaker.closed
    assert process.news == []


def test_what_goes_well_is_no_news() -> None:
    process = Process()
    for now in range(20):
        process.ends(float(now))
        process.ends(float(now), Cause.REJECTED, status=400)
    process.ends(20.0, Cause.SERVER_ERROR, status=500)
    assert process.news == []
