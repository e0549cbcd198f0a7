"""Which gateways a request has passed, so that one which comes back to its sender is ended.

A provider whose address is the gateway's own, or another gateway's that leads back, would have each
request served by attempts of attempts. Every call says by its header from which gateway it is, and
which were before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

HOP: Final = b"x-gateway-hop"
# More gateways in a row than anybody has a use for: each may make three attempts of one.
MOST_HOPS: Final = 4

_ID: Final = re.compile(rb"(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])")
_MOST_BYTES: Final = 1024


def chain_of(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the gateways that the headers name, each once; nothing that is no id of one."""
    text = b",".join([value for name, value in pairs if name == HOP])[:_MOST_BYTES]
    return b",".join(dict.fromkeys(_ID.findall(text)))


def is_loop(chain: bytes, own: bytes) -> bool:
    """Say whether a request with that `chain` has been here, or anywhere too often."""
    return (own != b"" and own in chain) or chain.count(b",") + 1 > MOST_HOPS
