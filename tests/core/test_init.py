"""The core is pure: what it imports, directly or not, can do no I/O and knows no event loop."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

# In a process of its own: pytest's plugins import Trio.
IMPORTING: Final = """
import importlib, pkgutil, sys
# A virtual environment's own hooks, such as that of an editable install.
before = {name.partition(".")[0] for name in sys.modules}
import gateway.core
names = [each.name for each in pkgutil.walk_packages(gateway.core.__path__, "gateway.core.")]
for name in names:
    importlib.import_module(name)
found = {name.partition(".")[0] for name in sys.modules}
print(*sorted(found - before - sys.stdlib_module_names))
print(*sorted(name for name in sys.modules if name.startswith("gateway")))
print(*names)
"""


def test_all_of_the_core_is_imported_without_trio() -> None:
    found = subprocess.run(  # noqa: S603  # ours
        [sys.executable, "-c", IMPORTING],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    libraries, modules, names = (line.split() for line in found.stdout.splitlines())
    assert len(names) > 40
    # msgspec takes typing_extensions if they are installed.
    assert {*libraries} - {"typing_extensions"} == {"gateway", "msgspec"}
    # Of the gateway only what is pure itself.
    rest = {name for name in modules if not name.startswith("gateway.core")}
    assert rest == {"gateway", "gateway.errors", "gateway.transport_errors"}
