"""What a process has learned of deployments, told to others; and what it makes of their news.

A key that one process found dead rests everywhere: no key is dead for one process alone. A breaker
is another matter. The process that opened it may have lost its own network, so its news counts
only where nothing speaks against it: a process that was served well lately goes by that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import structlog

from ..core.news import BreakerNews, KeyNews, News, OrderNews
from ..core.routing.attempts import RetryPolicy
from ..core.routing.backoff import Rng
from ..core.routing.breaker.policy import BreakerPolicy
from ..core.routing.causes import Cause
from ..core.routing.entered import Entered
from ..core.routing.health import Sample
from ..core.routing.keys import Key, Keyring
from ..core.routing.target import Target
from .health import LocalHealth

_KEY_CAUSES: Final = (Cause.RATE_LIMITED, Cause.AUTH_FAILED, Cause.ACCOUNT_REFUSED)
# A rest that is over before others could hear of it.
_SHORTEST: Final = 0.25

_log = structlog.get_logger(__name__)


class AnnouncedHealth(LocalHealth):
    """`announce` takes what others are to hear; it must neither wait nor fail."""

    def __init__(
        self,
        announce: Callable[[News], None],
        breaker: BreakerPolicy | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        super().__init__(breaker, retry)
        self._announce = announce

    def leave(
        self,
        entered: Entered,
        sample: Sample,
        now: float,
        rng: Rng,
        *,
        pool: Sequence[Target] = (),
        counts: bool = True,
    ) -> None:
        target, key = entered.target, entered.key
        breaker, keyring = target.breaker, target.keyring
        opens, closed = breaker.opens, breaker.closed
        rested, refused = keyring.rests(key, now), keyring.why_refused(key)
        super().leave(entered, sample, now, rng, pool=pool, counts=counts)
        if sample.cause in _KEY_CAUSES:
            rests = keyring.rests(key, now)
            if rests > rested + _SHORTEST:
                self._announce(_key_news(entered, keyring, rests))
        elif refused is not None and keyring.why_refused(key) is None:
            self._announce(KeyNews(entered.deployment.provider, key.id, 0.0))
        if breaker.opens != opens:
            self._announce(BreakerNews(target.name, open=True))
        elif breaker.closed and not closed:
            self._announce(BreakerNews(target.name, open=False))

    def answered(self, entered: Entered, now: float, rng: Rng) -> None:
        closed = entered.target.breaker.closed
        super().answered(entered, now, rng)
        if not closed and entered.target.breaker.closed:
            self._announce(BreakerNews(entered.target.name, open=False))

    def hear(self, news: News, now: float, rng: Rng) -> None:
        """Take note of what another process has found."""
        match news:
            case KeyNews():
                self._hear_of_key(news, now)
            case BreakerNews():
                self._hear_of_breaker(news, now, rng)
            case OrderNews():
                return

    def _hear_of_key(self, news: KeyNews, now: float) -> None:
        key = self._keys.get((news.provider, news.key))
        if key is None:
            return
        targets = [each for each in self._of(news.provider) if key in each.keyring.keys]
        if news.deployment is not None:
            targets = [each for each in targets if each.name == news.deployment]
        if not targets or not _heard(targets[0].keyring, key, news, now):
            return
        for target in targets:
            # Strategies look at it again.
            target.clear = False
        if news.refused is not None:
            _log.warning(
                "another process found a key refused; it rests here too",
                provider=news.provider,
                deployment=news.deployment,
                key=key.label,
                seconds=round(news.seconds, 3),
            )

    def _hear_of_breaker(self, news: BreakerNews, now: float, rng: Rng) -> None:
        target = next((each for each in self.targets if each.name == news.deployment), None)
        if target is None:
            return
        if not news.open:
            target.breaker.invite(now)
        elif target.breaker.closed and not target.breaker.served_well(now):
            target.breaker.trip(now, rng)
            target.clear = False
            self._trouble.breaker(target, now)


def _key_news(entered: Entered, keyring: Keyring, seconds: float) -> KeyNews:
    key, provider = entered.key, entered.deployment.provider
    if key.refused is not None:
        return KeyNews(provider, key.id, seconds, refused=key.refused)
    refused = keyring.why_refused(key)
    return KeyNews(provider, key.id, seconds, entered.target.name, refused)


def _heard(keyring: Keyring, key: Key, news: KeyNews, now: float) -> bool:
    """Do as the news says; return whether it is any."""
    if not news.seconds:
        if key.refused is None:
            return False
        key.accepted()
        return True
    if keyring.rests(key, now) >= news.seconds - _SHORTEST:
        return False
    if news.refused is None:
        keyring.limit(key, now, news.seconds)
    elif news.deployment is None:
        key.rest(now, news.seconds, news.refused)
    else:
        keyring.rest(key, now, news.seconds, news.refused)
    return True
