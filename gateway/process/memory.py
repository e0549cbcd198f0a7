"""How much memory this process may have, how often it looks for what it no longer needs, and
for how long a thread may keep the interpreter.
"""

from __future__ import annotations

import gc
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

try:
    import resource
except ImportError:  # pragma: no cover  # not on this platform
    resource = None  # type: ignore[assignment]

# In a worker's environment: how many there are, which share the machine's memory.
WORKERS: Final = "GATEWAY_WORKERS"

# Of some 100 bytes each; so many belong to 100 requests under way.
_YOUNG_OBJECTS: Final = 10_000
_TURN_SECONDS: Final = 0.000_5

# The part that request bodies may take. Measured on bodies of 16 MiB: each takes three times its
# size, what was read, what is sent on, and what the allocator keeps of both.
FOR_BODIES: Final = 0.25

_CGROUPS: Final = Path("/sys/fs/cgroup")


def bytes_for_bodies() -> float:
    """Return how many bytes of request bodies the process should hold at most."""
    workers = os.environ.get(WORKERS, "")
    shared = min(_of_machine(), _of_cgroup()) / (int(workers) if workers.isdigit() else 1)
    return FOR_BODIES * max(0.0, min(shared, *_of_process()))


def _of_machine() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):
        return math.inf


def _of_cgroup(root: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup")) -> float:
    """Return the least limit of the process's control group and of those around it.

    A container sees its own group as the root (cgroup_namespaces(7)); a service has a path below.
    """
    least = math.inf
    for line in _text(own).splitlines():
        # cgroups(7): hierarchy, controllers, path. Version 2 has no controllers.
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers not in {"", "memory"}:
            continue
        folder, name = (
            (root / "memory", "memory.limit_in_bytes") if controllers else (root, "memory.max")
        )
        group = folder / path.lstrip("/")
        for each in (group, *group.parents):
            if not each.is_relative_to(folder):
                break
            said = _text(each / name).strip()
            if said.isdigit():
                least = min(least, float(said))
    return least


def _of_process() -> Iterator[float]:
    """Yield what is left of the process's own limits (`ulimit -v`)."""
    yield math.inf
    if hasattr(resource, "RLIMIT_AS"):
        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        if most != resource.RLIM_INFINITY:
            pages = _text(Path("/proc/self/statm")).split()  # proc(5): all of it, in pages
            used = int(pages[0]) * os.sysconf("SC_PAGE_SIZE") if pages else 0
            yield float(most - used)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def postpone_collections() -> None:
    """Tell the garbage collector to wait until `settle_in`: imports leave next to no garbage.

    It would go through what they make again and again, which was an eighth of the whole start
    (measured).
    """
    # Its classes have slots, for which attrs makes each of them twice. These 1,400 objects, and as
    # many of the command line, are most of the garbage that there is, and soon found here.
    import trio  # noqa: F401

    gc.collect()
    gc.freeze()
    gc.disable()


def settle_in() -> None:
    """Tell the garbage collector that what was made so far stays, and threads to take short turns.

    A full collection otherwise walks through every module and takes 30 ms (measured), which
    then is the slowest percent of all requests; without them it takes microseconds. There is none
    here either: it would find some 600 objects.

    Young objects are looked through less often than by default: a few requests under way have as
    many as that, which took 5 % of the time of each (measured), and found nothing. A request
    leaves no cycles of references behind (`tests/end_to_end/test_garbage.py`).

    The event loop lets go of the interpreter at every read and write. If a thread has taken it
    meanwhile, for a page of the dashboard or for rows of the store, the loop waits for it until the
    end of a turn, by default 5 ms (docs.python.org, `sys.setswitchinterval`). With a busy dashboard
    and turns of 5 ms the slowest percent of all events came 75 ms late, with 0.5 ms 30 (measured by
    `python -m bench dashboard`); requests cost the same.
    """
    sys.setswitchinterval(_TURN_SECONDS)
    gc.freeze()
    gc.enable()
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])
