"""Limits of the process that the kernel keeps: descriptors, and what is left behind of a crash."""

from __future__ import annotations

import contextlib
from typing import Final

try:
    import resource
except ImportError:  # pragma: no cover  # not on this platform
    resource = None  # type: ignore[assignment]

# Each connection takes one. Service managers set the soft limit to 1024 for programs that still use
# select(2), and the hard one to half a million (systemd.exec(5), LimitNOFILE).
MOST_DESCRIPTORS: Final = 1_048_576


def settle_limits() -> None:
    """Take the descriptors that there may be, and leave no core file: it would hold keys."""
    if not hasattr(resource, "RLIMIT_NOFILE"):
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # Some platforms have another bound as well; what was allowed before is enough to run.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
