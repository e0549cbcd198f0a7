"""structlog, imported without Rich.

structlog imports Rich where it is installed, to draw tracebacks and values. The gateway's log has
neither (`logs.py`), and Rich, which the command line brings along, would be 3 MB of each process
and 30 ms of its start.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any


def import_structlog() -> None:
    """Import structlog as if there was no Rich, which can be imported later all the same."""
    if "structlog" in sys.modules or "rich" in sys.modules:
        return
    # With None in its place an import fails (docs.python.org, "The module cache"), which structlog
    # is prepared for.
    modules: dict[str, Any] = sys.modules
    modules["rich"] = None
    try:
        importlib.import_module("structlog")
    finally:
        del modules["rich"]
