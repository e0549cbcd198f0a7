"""Active health checks: ask providers whether they are there, and tell their breakers.

A check that succeeds lets an open breaker try its next request at once; so many that fail in a
row open the breakers of all the provider's deployments, and each further one opens those again
that have cooled. A breaker is closed by requests alone: that a provider lists its models does
not mean that it answers chats.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import msgspec
import structlog
import trio

from ...core.routing.backoff import Rng
from ...core.routing.call import Call
from ...providers.settings import Probe
from ..protocols import Health

# Of the interval, either way: several gateways that start together do not stay in step.
JITTER: Final = 0.1

# Makes one check within the seconds; says whether the provider is alive; None is not known.
Check = Callable[[Call, float], Awaitable[bool | None]]

_log = structlog.get_logger(__name__)


class Probed(msgspec.Struct, frozen=True):
    """What there is to check of one provider."""

    provider: str
    call: Call
    policy: Probe


class Probing:
    """Checks what `configure` was last given while `run` runs, one task a provider."""

    def __init__(self, check: Check, health: Health, rng: Rng) -> None:
        self._check = check
        self._health = health
        self._rng = rng
        self._wanted: dict[str, Probed] = {}
        self._changed = trio.Event()

    def __repr__(self) -> str:
        return f"<Probing {', '.join(self._wanted) or 'nothing'}>"

    def configure(self, probed: Iterable[Probed]) -> None:
        """Check these from now on. Those that are the same go on as if nothing had happened."""
        self._wanted = {each.provider: each for each in probed}
        self._changed.set()

    async def run(self) -> None:
        """Check until cancelled."""
        running: dict[str, tuple[Probed, trio.CancelScope]] = {}
        async with trio.open_nursery() as nursery:
            while True:
                self._changed = trio.Event()
                for name, (probed, scope) in tuple(running.items()):
                    if self._wanted.get(name) != probed:
                        scope.cancel("no longer configured so")
                        del running[name]
                for name, probed in self._wanted.items():
                    if name not in running:
                        scope = trio.CancelScope()
                        running[name] = probed, scope
                        nursery.start_soon(self._watch, probed, scope)
                await self._changed.wait()

    async def _watch(self, probed: Probed, scope: trio.CancelScope) -> None:
        """Check one provider again and again, at once at first."""
        policy, failures = probed.policy, 0
        with scope:
            while True:
                alive = await self._check(probed.call, policy.timeout)
                if alive:
                    self._note_life(probed, failures)
                    failures = 0
                elif alive is not None:
                    failures += 1
                    self._note_failure(probed, failures)
                spread = 1 - JITTER + 2 * JITTER * self._rng()
                await trio.sleep(policy.interval * spread)

    def _note_life(self, probed: Probed, failures: int) -> None:
        """Take note of a success after so many `failures` in a row."""
        self._health.probe_succeeded(probed.provider, trio.current_time())
        if failures >= probed.policy.failures:
            _log.info("provider answers health checks again", provider=probed.provider)

    def _note_failure(self, probed: Probed, failures: int) -> None:
        """Take note of the last of so many `failures` in a row."""
        if failures < probed.policy.failures:
            return
        self._health.probe_failed(probed.provider, trio.current_time(), self._rng)
        if failures == probed.policy.failures:
            _log.warning(
                "provider fails its health checks", provider=probed.provider, failures=failures
            )
