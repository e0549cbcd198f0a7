"""What a caller asks of the gateway itself, beside its request to a model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import msgspec

from ..config.callers import Caller
from ..config.snapshot import ServedModel
from ..core.dialects.base import DialectRequest
from ..core.limits.ledger import Demand
from ..core.routing.attempts import RetryPolicy


class ClientOptions(msgspec.Struct, frozen=True):
    """What the request's head asks for.

    timeout  seconds for the whole request; infinite if the caller does not say
    single    make one attempt only
    repeated  this is a retry of the client's own
    cache     the value of `x-gateway-cache`
    """

    timeout: float = math.inf
    single: bool = False
    repeated: bool = False
    cache: bytes | None = None


class ServingOptions(msgspec.Struct, frozen=True):
    """How one request is to be served. `sticky_key` is what its deployment depends on.

    `home` is the state key of the one that keeps what it goes on from.
    """

    timeout: float = math.inf
    single: bool = False
    repeated: bool = False
    sticky_key: bytes | None = None
    demand: Demand = Demand()
    home: str | None = None

    @property
    def probing(self) -> bool:
        """Say whether it may be sent to a deployment whose breaker waits for a probe.

        Not with a single attempt, nor in haste: a silent deployment could take all of it.
        """
        return not self.single and self.timeout == math.inf

    def retry(self, policy: RetryPolicy) -> RetryPolicy:
        """Return `policy`, or that of a caller who wants one attempt."""
        return msgspec.structs.replace(policy, max_attempts=1) if self.single else policy


DEFAULT: Final = ServingOptions()


def sticky_key(
    model: ServedModel, request: DialectRequest, caller: Caller, headers: Mapping[bytes, bytes]
) -> bytes | None:
    """Return the first that the request has of what `model` goes by; None if it has none."""
    for source in model.sticky_by:
        if source == "user":
            value = request.user.encode("utf-8", "backslashreplace") if request.user else b""
        elif source == "token":
            value = caller.digest
        else:
            value = headers.get(source.removeprefix("header:").lower().encode("ascii"), b"")
        if value:
            # So that a user called as a token is are not the same.
            return source.encode("ascii") + b"=" + value
    return None
