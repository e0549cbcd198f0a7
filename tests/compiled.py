"""What Python has compiled of this repository's modules, for copies of them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "gateway"


def take_compiled(package: Path) -> int:
    """Take over into a copy of the package what is compiled of those modules that are the same.

    Returns how many are not: Python, which knows them by size and time, compiles those itself.
    """
    others = 0
    for path in package.rglob("*.py"):
        known = PACKAGE / path.relative_to(package)
        if known.is_file() and known.read_bytes() == path.read_bytes():
            os.utime(path, ns=(known.stat().st_atime_ns, known.stat().st_mtime_ns))
        else:
            others += 1
    for cached in PACKAGE.rglob("__pycache__"):
        target = package / cached.relative_to(PACKAGE)
        if target.parent.is_dir():
            shutil.copytree(cached, target, copy_function=os.symlink)
    return others
