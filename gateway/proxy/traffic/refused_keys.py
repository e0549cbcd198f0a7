"""Keys that are refused: how much of them is kept, and how soon an address is told to wait.

Anyone may send keys that are none, thousands a second, and each refusal would be a row in the
database. Of each address the first of a minute are kept, and of all together some more; the others
are counted, and told in a line a minute. An address that goes on gets 429 instead of 401. A good
key is never refused for the bad ones beside it: many callers may have one address.
"""

from __future__ import annotations

import time
from typing import Final, Never

import structlog
import trio

from ...config.callers import Caller
from ...config.snapshot import Snapshot
from ...core.records.record import Record
from ...core.sign_in import address_group
from ...errors import AuthenticationFailed, GatewayError
from ..access import authenticate

PERIOD: Final = 60.0
# Records in a minute, of one address and of all.
KEPT: Final = 10
KEPT_OF_ALL: Final = 100
# Refusals in a minute before an address is told to wait.
FREE: Final = 100
# Addresses that are told apart in a minute. A botnet's others share one count.
MOST_ADDRESSES: Final = 1024
_OTHERS: Final = "others"
_CODES: Final = frozenset(
    {
        *("invalid_api_key", "expired_api_key", "disabled_api_key"),
        *("invalid_signature", "signature_expired", "too_many_refused_keys"),
    }
)

_log = structlog.get_logger(__name__)


class TooManyRefusedKeys(GatewayError):
    status = 429
    code = "too_many_refused_keys"
    type = "invalid_request_error"
    should_retry = False


class RefusedKeys:
    """Counts them. `total` is since the start, `unkept` those of them that have no record."""

    def __init__(self) -> None:
        self.total = 0
        self.unkept = 0
        self._since = 0.0
        self._counts: dict[str, int] = {}
        self._kept = 0
        self._dropped = 0

    def __repr__(self) -> str:
        return f"<RefusedKeys, {self.total}, {len(self._counts)} addresses>"

    def authenticate(self, snapshot: Snapshot, key: bytes | None, address: str | None) -> Caller:
        """Return who is calling with `key` from `address`.

        Raises what `access.authenticate` does, and TooManyRefusedKeys (429).
        """
        try:
            return authenticate(snapshot, key, time.time())
        except AuthenticationFailed as exc:
            self.refuse(exc, address)

    def refuse(self, error: AuthenticationFailed, address: str | None) -> Never:
        """Count a key or a signature that was refused, and raise what its sender is told."""
        now = trio.current_time()
        if self._note(address, now) > FREE:
            raise TooManyRefusedKeys(
                "too many keys from this address were refused; check the key",
                retry_after=max(1.0, self._since + PERIOD - now),
            ) from error
        # Not from itself, which would be a cycle for the garbage collector.
        raise error

    def keeps(self, record: Record) -> bool:
        """Say whether a request gets a record of its own: all but some that are refused for a key.

        Those have been noted just before.
        """
        if record.token is not None or record.error_code not in _CODES:
            return True
        seen = self._counts.get(self._name(record.client), 0)
        if seen <= KEPT and self._kept < KEPT_OF_ALL:
            self._kept += 1
            return True
        self.unkept += 1
        self._dropped += 1
        return False

    def _note(self, address: str | None, now: float) -> int:
        self.total += 1
        if now - self._since >= PERIOD:
            self._tell()
            self._since, self._kept, self._dropped = now, 0, 0
            self._counts.clear()
        name = self._name(address)
        count = self._counts[name] = self._counts.get(name, 0) + 1
        return count

    def _name(self, address: str | None) -> str:
        name = address_group(address)
        if name not in self._counts and len(self._counts) >= MOST_ADDRESSES:
            return _OTHERS
        return name

    def _tell(self) -> None:
        if not self._dropped:
            return
        address, most = max(self._counts.items(), key=lambda item: item[1])
        _log.warning(
            "keys were refused that have no record each",
            requests=self._dropped,
            addresses=len(self._counts),
            most_from=address,
            most=most,
        )
