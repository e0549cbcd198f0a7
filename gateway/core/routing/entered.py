"""What an attempt holds of its deployment, from when it is let through until it leaves."""

from __future__ import annotations

import msgspec

from .blame.source import Source
from .blame.suspects import Held
from .breaker.states import Permit
from .deployment import Deployment
from .keys import Key
from .target import Target


class Entered(msgspec.Struct, eq=False):
    """An attempt that was let through: what it holds of its deployment until it leaves.

    `permit` is its breaker's, given back with the first sign of life, long before it leaves.
    `probes` says that it was let through to test an open breaker though its request had another
    deployment. `charged` says that it holds a place in the retry budget. `held` is what it holds
    of its caller's own breaker, if the caller is a suspect; `trial` that it was let through to
    learn whether only that of another is to blame.
    """

    target: Target
    deployment: Deployment
    key: Key
    permit: Permit
    probes: bool
    charged: bool
    source: Source | None = None
    held: Held | None = None
    trial: bool = False

    @property
    def key_id(self) -> str:
        return self.key.id

    @property
    def key_label(self) -> str:
        """Return what people know the key by; holds none of it."""
        return self.key.label
