"""Run `gateway serve` and write down, when it ends, what only the garbage collector could find.

garbage_counter.py FILE ...    with the arguments of `gateway`; FILE gets one type a line
"""

from __future__ import annotations

import atexit
import gc
import runpy
import sys
from pathlib import Path

out = Path(sys.argv.pop(1))
freeze = gc.freeze


def freeze_and_watch() -> None:
    """Keep what is found from now on: the gateway serves."""
    freeze()
    gc.set_debug(gc.DEBUG_SAVEALL)


def write() -> None:
    """Write down the types of what was found."""
    gc.collect()
    gc.set_debug(0)
    out.write_text("".join(f"{type(found).__module__}\n" for found in gc.garbage))


gc.freeze = freeze_and_watch
atexit.register(write)
sys.argv[0] = "gateway"
runpy.run_module("gateway", run_name="__main__")
