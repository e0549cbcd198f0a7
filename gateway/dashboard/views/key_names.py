"""Names of keys that fields suggest, as many as a list can show."""

from __future__ import annotations

from itertools import islice
from typing import Final

from ...config.snapshot import Snapshot

MOST: Final = 200


def key_names(snapshot: Snapshot) -> list[str]:
    """Return names of keys that may call, each once; that of everybody where no key is needed."""
    if snapshot.open:
        return [snapshot.anyone.name]
    names = (each.name for each in snapshot.callers.values() if not each.blocked)
    return sorted(dict.fromkeys(islice(names, 2 * MOST)))[:MOST]
