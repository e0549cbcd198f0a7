"""Callers whose requests fail at one deployment, and what is concluded from that.

A failure says little of a deployment if the request itself may have brought it about: a 500 to an
image that the model cannot see comes each time, and only to those who send images. So

    such failures of one caller      count against that caller, in a breaker of its own
    the same of several callers      count against the deployment
    failures that no body brings     count against the deployment whoever meets them: nothing
    about (no connection, silence)   was answered that could depend on the request

A caller's own breaker opens as the deployment's would, and keeps out that caller alone; only the
one body if all its failures had the same. Nothing is known of callers that never failed.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ..backoff import Rng
from ..breaker import Breaker, BreakerPolicy, Permit
from ..retry_budget import RollingCount
from .source import Source

# Suspects that are remembered at a deployment. Without tokens each body is one.
MOST: Final = 64


class Suspect:
    """One caller whose requests have failed: its own breaker, and its share of the window."""

    __slots__ = ("body", "breaker", "failures", "name", "requests")

    def __init__(self, source: Source, policy: BreakerPolicy) -> None:
        self.name: Final = source.name
        # The body that all its failures had; None if there were several.
        self.body: int | None = source.digest
        self.breaker = Breaker(policy)
        self.requests = RollingCount(policy.window)
        self.failures = RollingCount(policy.window)

    def __repr__(self) -> str:
        return f"<Suspect {self.name}, {self.breaker}>"

    def concerned(self, source: Source) -> bool:
        """Say whether its breaker is about this body of the caller's."""
        return self.body is None or self.body == source.digest

    def note(self, source: Source, now: float) -> None:
        """Count a failure that may be of its own making."""
        if not self.failures.total(now) and self.breaker.closed:
            self.body = source.digest
        elif self.body != source.digest:
            self.body = None
        self.failures.add(now)


class Held(msgspec.Struct, eq=False):
    """The permit of a caller's own breaker that an attempt holds."""

    suspect: Suspect
    permit: Permit


class Blame(msgspec.Struct, frozen=True):
    """What a failure counts for with the deployment's own breaker.

    by_row     the failures in a row are not one caller's alone
    requests   of the caller who fails most, in the breaker's window...
    failures   ...and those of them that failed and may be its own doing
    closed_to  the caller whose own breaker has opened by this failure
    """

    by_row: bool
    requests: int
    failures: int
    closed_to: Suspect | None


class Suspects:
    """The suspects of one deployment, `known` by their names.

    `opens` is how often one's own breaker has opened. While one is kept out and nobody has been
    served since, others are let through one at a time, on `trial`: it may be the deployment.
    """

    __slots__ = ("_in_a_row", "_neutral", "_own", "_policy", "known", "opens", "trial")

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self.known: dict[str | int, Suspect] = {}
        # Of the failures since the last success: those that no request brings about, those that
        # one may, and whose the latter are. Two names are as good as many.
        self._neutral = self._own = 0
        self._in_a_row: set[str | int] = set()
        self.opens = 0
        self.trial = False

    def __repr__(self) -> str:
        return f"<Suspects {list(self.known.values())}>"

    @property
    def in_a_row(self) -> bool:
        """Say whether anything has failed since the last success."""
        return self._neutral > 0 or self._own > 0

    @property
    def policy(self) -> BreakerPolicy:
        return self._policy

    @policy.setter
    def policy(self, policy: BreakerPolicy) -> None:
        if policy.window != self._policy.window:
            # What was counted in the old window has no place in the new one.
            self.known.clear()
        self._policy = policy
        for suspect in self.known.values():
            suspect.breaker.policy = policy

    @property
    def kept_out(self) -> Suspect | None:
        """Return one that is kept out; None if there is none, or if others were served since."""
        if not self.in_a_row:
            return None
        return next((each for each in self.known.values() if not each.breaker.closed), None)

    def barred(self, source: Source, now: float) -> Suspect | None:
        """Return the suspect that `source` is, if it is kept out now."""
        suspect = self.known.get(source.name)
        if suspect is None or not suspect.concerned(source) or suspect.breaker.available(now):
            return None
        suspect.breaker.rejected += 1
        return suspect

    def enter(self, source: Source, now: float) -> Held | None:
        """Let through an attempt that is not barred; None if nothing is known of its caller."""
        suspect = self.known.get(source.name)
        if suspect is None:
            return None
        permit = suspect.breaker.enter(now) if suspect.concerned(source) else Permit.NORMAL
        # One body that fails keeps no other of its caller out.
        return Held(suspect, permit or Permit.NORMAL)

    def answered(self, held: Held, now: float, rng: Rng) -> None:
        """Take note of a first event. An attempt that was a probe is none any more."""
        if held.permit is Permit.PROBE:
            held.permit = Permit.NORMAL
            held.suspect.breaker.leave(Permit.PROBE, False, now, rng)

    def released(self, held: Held, now: float, rng: Rng) -> None:
        """Take back the permit of an attempt that has shown nothing."""
        held.suspect.breaker.leave(held.permit, None, now, rng)

    def succeeded(self, source: Source | None, held: Held | None, now: float, rng: Rng) -> None:
        """Take note of a good answer."""
        if self.in_a_row:
            self.start_over()
        suspect = self._of(source, held)
        if suspect is None:
            return
        suspect.requests.add(now)
        suspect.breaker.leave(Permit.NORMAL if held is None else held.permit, False, now, rng)
        if suspect.breaker.closed and not suspect.failures.total(now):
            self.known.pop(suspect.name, None)

    def failed(
        self,
        source: Source | None,
        held: Held | None,
        now: float,
        rng: Rng,
        *,
        by_request: bool,
        soft: bool = False,
        retry_after: float | None = None,
        by_rate: bool = True,
        started: float | None = None,
    ) -> Blame:
        """Take note of a failure, and say what it counts for with all others.

        `by_request` says that the request may have brought it about; without a `source` nobody
        can be blamed for it. The rest is as `Breaker.leave` has it.
        """
        own = by_request and source is not None
        self._count_in_a_row(source if own else None)
        suspect = self._of(source, held)
        if suspect is None and own and source is not None:
            suspect = self._add(source, now)
        opened = None
        if suspect is not None:
            before = suspect.breaker.opens
            suspect.requests.add(now)
            if own and source is not None:
                suspect.note(source, now)
            suspect.breaker.leave(
                Permit.NORMAL if held is None else held.permit,
                True,
                now,
                rng,
                retry_after=retry_after,
                by_rate=by_rate,
                started=started,
                soft=soft,
            )
            opened = suspect if suspect.breaker.opens > before else None
            self.opens += opened is not None
        worst = max(self.known.values(), key=lambda each: each.failures.total(now), default=None)
        return Blame(
            len(self._in_a_row) > 1
            or self._neutral + min(self._own, 1) >= self._policy.consecutive_failures,
            0 if worst is None else worst.requests.total(now),
            0 if worst is None else worst.failures.total(now),
            opened,
        )

    def start_over(self) -> None:
        """Forget the failures in a row: a success parts them, or they have opened the breaker."""
        self._neutral = self._own = 0
        self._in_a_row.clear()

    def _count_in_a_row(self, source: Source | None) -> None:
        if source is None:
            self._neutral += 1
            return
        self._own += 1
        if len(self._in_a_row) < 2:
            self._in_a_row.add(source.name)

    def _of(self, source: Source | None, held: Held | None) -> Suspect | None:
        if held is not None:
            return held.suspect
        return self.known.get(source.name) if self.known and source is not None else None

    def _add(self, source: Source, now: float) -> Suspect:
        if len(self.known) >= MOST:
            quiet = [
                name
                for name, each in self.known.items()
                if each.breaker.closed and not each.failures.total(now)
            ]
            # The oldest, if all of them still fail.
            for name in quiet or [next(iter(self.known))]:
                del self.known[name]
        found = self.known[source.name] = Suspect(source, self._policy)
        return found
