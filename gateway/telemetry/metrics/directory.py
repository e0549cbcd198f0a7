"""The directory in which the workers of one gateway count together.

The environment of the workers names it. `gateway serve --workers` makes a directory and sets the
variable; under Hypercorn's command line the operator has to.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

VARIABLE: Final = "GATEWAY_METRICS_DIR"


@contextmanager
def shared_directory() -> Iterator[Path]:
    """Make a private directory for workers, and remove it at the end. Raises OSError."""
    with tempfile.TemporaryDirectory(prefix="gateway-metrics-") as name:
        # The lock keeps systemd-tmpfiles away, which otherwise removes what looks unused for ten
        # days (tmpfiles.d(5)).
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield Path(name)
        finally:
            os.close(descriptor)


def named_directory(environment: Mapping[str, str]) -> Path | None:
    """Return the directory that the environment names, None if this process counts alone."""
    name = environment.get(VARIABLE)
    return Path(name) if name else None
