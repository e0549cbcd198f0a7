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
from ..breaker.breaker import Breaker
from ..breaker.policy import BreakerPolicy
from ..breaker.states import Permit
from ..breaker.throttle import Throttle
from ..retry_budget import RollingCount
from .source import Source

# Suspects that are remembered at a deployment. Without tokens each body is one.
MOST: Final = 64
# Requests of other callers that pass at once while one is kept out and they have no other
# deployment. Should it fail for them as well, its own breaker opens with the first of them.
TRIALS: Final = 10.0


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

    `opens` is how often one's own breaker has opened. While one is kept out and no other has been
    served since, it may be the deployment's fault: others are let through on trial, one at a time
    or, if they have no other deployment, as `others` allows. `trials` are under way.
    """

    __slots__ = (
        "_in_a_row",
        "_in_doubt",
        "_neutral",
        "_own",
        "_policy",
        "known",
        "opens",
        "others",
        "trials",
    )

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self.known: dict[str | int, Suspect] = {}
        # Of the failures since the last success: those that no request brings about, those that
        # one may, and whose the latter are. Two names are as good as many.
        self._neutral = self._own = 0
        self._in_a_row: set[str | int] = set()
        # A suspect's breaker has opened, and no attempt has succeeded since.
        self._in_doubt = False
        self.opens = 0
        self.trials = 0
        self.others = Throttle(TRIALS)

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
        """Return one that is kept out, if no attempt of any caller has succeeded since."""
        if not self._in_doubt:
            return None
        return next((each for each in self.known.values() if not each.breaker.closed), None)

    def barred(self, source: Source, now: float, *, alone: bool = False) -> Suspect | None:
        """Return the suspect that `source` is, if it is kept out now; `alone` as in `Breaker`."""
        suspect = self.known.get(source.name)
        if suspect is None or not suspect.concerned(source):
            return None
        return None if suspect.breaker.available(now, alone=alone) else suspect

    def doubtful(self, source: Source) -> bool:
        """Say whether an attempt for `source` would not find it closed and well."""
        if self.kept_out is not None:
            return True
        suspect = self.known.get(source.name)
        return suspect is not None and suspect.concerned(source) and not suspect.breaker.closed

    def enter(self, source: Source, now: float, *, alone: bool = False) -> Held | None:
        """Let through an attempt that is not barred; None if nothing is known of its caller."""
        suspect = self.known.get(source.name)
        if suspect is None:
            return None
        if not suspect.concerned(source):
            # One body that fails keeps no other of its caller out.
            return Held(suspect, Permit.NORMAL)
        return Held(suspect, suspect.breaker.enter(now, alone=alone) or Permit.NORMAL)

    def crowded(self, now: float, *, alone: bool) -> bool:
        """Say whether no further attempt may be let through on trial."""
        if not self.trials or self.kept_out is None:
            return False
        return not (alone and self.others.passes(now))

    def try_out(self, now: float) -> None:
        """Let through an attempt on trial; it must be `tried`."""
        self.trials += 1
        self.others.take(now)

    def tried(self, now: float) -> None:
        """End a trial."""
        self.trials -= 1
        self.others.leave(now)

    def answered(self, held: Held, now: float, rng: Rng) -> None:
        """Take note of a first event: the attempt is like any other from now on."""
        if held.permit is not Permit.NORMAL:
            permit, held.permit = held.permit, Permit.NORMAL
            held.suspect.breaker.leave(permit, False, now, rng)

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
        alone: bool = False,
        started: float | None = None,
    ) -> Blame:
        """Take note of a failure, and say what it counts for with all others.

        `by_request` says that the request may have brought it about; without a `source` no caller
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
                alone=alone,
                started=started,
                soft=soft,
            )
            opened = suspect if suspect.breaker.opens > before else None
            if opened is not None:
                self.opens += 1
                self._in_doubt = True
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
        self._in_doubt = False

    def absolve(self) -> None:
        """Forget what is held against callers: the deployment had failed for all, and is back."""
        self.known.clear()
        self.start_over()

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
