"""The API keys of one deployment: which to use next, and which to leave alone.

Two things can be wrong with a key. It may be *limited*: the provider said 429, and until a
time that it named (or we guess) this key is not used for this deployment; others are. Or it
may be *bad*: 401, 403, no money left; then it is set aside, for longer with every strike. Only
a person can mend that, and it is tried again since a person may have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .blame.doubts import Doubts
from .blame.source import Source
from .health import KeyStatus

# How long a refused key rests: long enough that it costs few failed attempts, short enough
# that one which was paid for again is back without a restart.
BAD_FIRST: Final = 30.0
BAD_LAST: Final = 600.0
# A 429 without any hint. OpenAI's own per-second smoothing is over in a second.
LIMITED_FIRST: Final = 1.0
LIMITED_LAST: Final = 30.0
# The most that a provider can ask for: whatever resets at midnight is tried again before, which
# costs one refused attempt each time, and a `Retry-After` of a year costs no more than that.
LIMITED_LONGEST: Final = 300.0


class Key:
    """One key of a provider, shared by all its deployments.

    `id` is derived from the key's digest, "" where the provider needs none; `label` is for
    people. `refused` is why it is set aside, None while it is not.
    """

    __slots__ = ("bad_until", "id", "label", "refused", "strikes")

    def __init__(self, id: str, label: str) -> None:
        self.id: Final = id
        self.label = label
        self.bad_until = 0.0
        self.strikes = 0
        self.refused: str | None = None

    def __repr__(self) -> str:
        return f"<Key {self.label}{f' {self.refused}' if self.refused else ''}>"

    def set_aside(self, now: float, why: str) -> float:
        """Leave the key alone for a while; return for how many seconds."""
        if now < self.bad_until:
            # Refused again by a call that was under way: no new strike.
            return self.bad_until - now
        seconds = _doubled(self.strikes, BAD_FIRST, BAD_LAST)
        self.strikes += 1
        self.bad_until = now + seconds
        self.refused = why
        return seconds

    def rest(self, now: float, seconds: float, why: str) -> None:
        """Leave the key alone for `seconds`, since another process found it refused."""
        self.bad_until = max(self.bad_until, now + seconds)
        self.strikes = max(self.strikes, 1)
        self.refused = why

    def accepted(self) -> None:
        """Take note that the provider took the key."""
        self.strikes = 0
        self.bad_until = 0.0
        self.refused = None


class Keyring:
    """The keys of one deployment, used in turn."""

    __slots__ = ("_doubts", "_keys", "_next", "_refused", "_rests", "_strikes")

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = tuple(keys)
        # Of this deployment alone, by the key's id: until when it rests, how often in a row it
        # had to, and why, if it was refused.
        self._rests: dict[str, float] = {}
        self._strikes: dict[str, int] = {}
        self._doubts: dict[str, Doubts] = {}
        self._refused: dict[str, str] = {}
        self._next = 0

    def __repr__(self) -> str:
        return f"<Keyring {self._keys}>"

    @property
    def keys(self) -> tuple[Key, ...]:
        return self._keys

    def replace(self, keys: Sequence[Key]) -> None:
        """Use `keys` from now on; what is known of those that stay is kept."""
        self._keys = tuple(keys)
        known = {*self._rests, *self._doubts}
        for gone in known - {key.id for key in keys}:
            self._forget(gone)

    def statuses(self, now: float) -> list[KeyStatus]:
        """Return what reports show of each key."""
        return [
            KeyStatus(key.label, self.why_refused(key) is not None, self.rests(key, now))
            for key in self._keys
        ]

    def pick(self, now: float, source: Source | None = None) -> Key | None:
        """Return the next usable key; None if all rest.

        One that was refused to this very `source` comes last.
        """
        keys = self._keys
        if len(keys) == 1:
            key = keys[0]
            return key if self._free_at(key) <= now else None
        last: Key | None = None
        for step in range(len(keys)):
            at = (self._next + step) % len(keys)
            key = keys[at]
            if self._free_at(key) > now:
                continue
            if self._doubts and source is not None and self.doubted(key, source):
                last = last or key
                continue
            self._next = at + 1
            return key
        return last

    def usable(self, now: float) -> bool:
        """Say whether `pick` would find a key."""
        if not self._rests and self._keys[0].bad_until <= now:
            return True
        return any(self._free_at(key) <= now for key in self._keys)

    @property
    def unburdened(self) -> bool:
        """Say whether nothing is known against any key."""
        return not self._rests and not any(key.bad_until for key in self._keys)

    def free_at(self) -> float:
        """Return when the first key is usable again."""
        return min(self._free_at(key) for key in self._keys)

    def rests(self, key: Key, now: float) -> float:
        """Return for how many seconds `key` is still left alone."""
        return max(0.0, self._free_at(key) - now)

    def why_refused(self, key: Key) -> str | None:
        """Return why the provider does not take `key` here; None if it does."""
        return key.refused or self._refused.get(key.id)

    @property
    def all_refused(self) -> bool:
        """Say whether no key is left that the provider takes."""
        return all(self.why_refused(key) for key in self._keys)

    def limit(self, key: Key, now: float, seconds: float | None) -> float:
        """Leave `key` alone for `seconds`, or for a guess; return for how long.

        Who refuses now and asks for no wait at all has rounded down: that is a guess, too.
        """
        until = self._rests.get(key.id, 0.0)
        if not seconds:
            if now < until:
                # Limited again by a call that was under way: no new strike.
                return until - now
            seconds = self._next_rest(key, LIMITED_FIRST, LIMITED_LAST)
        seconds = min(seconds, LIMITED_LONGEST)
        # Of two calls that were refused, the longer wait is the honest one.
        until = max(until, now + seconds)
        self._rests[key.id] = until
        return until - now

    def refuse(self, key: Key, now: float, why: str, *, everywhere: bool) -> float:
        """Set `key` aside, here or with all deployments; return for how many seconds."""
        if everywhere:
            return key.set_aside(now, why)
        until = self._rests.get(key.id, 0.0)
        # A second that it is limited for does not stand in for the rest of a refused key.
        if until <= now or key.id not in self._refused:
            until = max(until, now + self._next_rest(key, BAD_FIRST, BAD_LAST))
            self._rests[key.id] = until
        self._refused[key.id] = why
        return until - now

    def rest(self, key: Key, now: float, seconds: float, why: str) -> None:
        """Leave `key` alone here for `seconds`, since another process found it refused here."""
        self._rests[key.id] = max(self._rests.get(key.id, 0.0), now + seconds)
        self._strikes[key.id] = max(self._strikes.get(key.id, 0), 1)
        self._refused[key.id] = why

    def doubt(self, key: Key, source: Source | None = None) -> Doubts:
        """Count a refusal that may not be the key's fault; return those in a row."""
        found = self._doubts.setdefault(key.id, Doubts())
        found.add(source)
        return found

    def doubted(self, key: Key, source: Source) -> bool:
        """Say whether `key` was refused to this very `source`, and not accepted since."""
        doubts = self._doubts.get(key.id)
        return doubts is not None and doubts.include(source)

    def accepted(self, key: Key, now: float) -> None:
        """Take note that the provider took `key`."""
        if self._doubts:
            self._doubts.pop(key.id, None)
        if key.refused is not None and key.bad_until <= now:
            key.accepted()
        # A call that began before the rest did says nothing against it.
        if self._rests and self._rests.get(key.id, 0.0) <= now:
            self._forget(key.id)

    def _next_rest(self, key: Key, first: float, last: float) -> float:
        strikes = self._strikes.get(key.id, 0)
        self._strikes[key.id] = strikes + 1
        return _doubled(strikes, first, last)

    def _forget(self, id: str) -> None:
        self._rests.pop(id, None)
        self._strikes.pop(id, None)
        self._refused.pop(id, None)
        self._doubts.pop(id, None)

    def _free_at(self, key: Key) -> float:
        if not self._rests:
            return key.bad_until
        return max(key.bad_until, self._rests.get(key.id, 0.0))


def _doubled(times: int, first: float, last: float) -> float:
    # 2.0 ** 1024 overflows; the last is reached long before.
    return min(last, first * 2.0 ** min(times, 30))
