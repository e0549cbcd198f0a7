"""Hashes of passwords: Argon2id, in threads, few at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import structlog
import trio
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError, VerifyMismatchError

from ...errors import Overloaded
from .rules import password_bytes

T = TypeVar("T")

# OWASP Password Storage Cheat Sheet, "Argon2id": m = 19 MiB, t = 2, p = 1; 50 ms here. RFC 9106's
# 64 MiB would let a flood of sign-ins take 128 MiB of each worker.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# A hash of a random password that was thrown away. It is compared with where there is no user, so
# that a name which does not exist takes as long as one that does.
DECOY: Final = (
    "$argon2id$v=19$m=19456,t=2,p=1$L+BMNz3nagLcFxZWPWQsUQ"
    "$LH9eKy/XNujB/09Rj8ny/EDh6HZl+dfsYxLHDCxEfT0"
)
AT_ONCE: Final = 2
# Who may wait for these, and for how long (seconds): 16 take less than a second.
_WAITING: Final = 16
_PATIENCE: Final = 10.0

_log = structlog.get_logger(__name__)


def hash_now(password: str) -> str:
    """Return a hash with its parameters and salt, as a PHC string. Takes some 50 ms."""
    return _HASHER.hash(password_bytes(password))


def matches_now(password: str, expected: str) -> bool:
    """Say whether `expected` is a hash of `password`. Takes as long as `hash_now`."""
    try:
        return _HASHER.verify(expected, password_bytes(password))
    except VerifyMismatchError:
        return False
    except (InvalidHashError, Argon2Error) as exc:
        _log.error("a user's password hash in the database cannot be read", error=str(exc))
        return False


class PasswordHashes:
    """The same for Trio. A caller that leaves is let go; its thread ends by itself."""

    def __init__(self) -> None:
        self._threads = trio.CapacityLimiter(AT_ONCE)

    async def hash(self, password: str) -> str:
        """Raises Overloaded (503) if too many wait already, as does `matches`."""
        return await self._run(lambda: hash_now(password))

    async def matches(self, password: str, expected: str | None) -> bool:
        """Say whether `expected` is a hash of `password`.

        Never with None, nor with what is no hash, for a user without a password; in the same time.
        """
        usable = expected if expected is not None and expected.startswith("$") else None
        matches = await self._run(lambda: matches_now(password, usable or DECOY))
        return matches and usable is not None

    async def _run(self, work: Callable[[], T]) -> T:
        if self._threads.statistics().tasks_waiting >= _WAITING:
            raise Overloaded("too many people sign in at the moment", retry_after=1)
        with trio.move_on_after(_PATIENCE):
            return await trio.to_thread.run_sync(
                work, abandon_on_cancel=True, limiter=self._threads
            )
        raise Overloaded("too many people sign in at the moment", retry_after=1)
