"""The server has a log without Rich, and commands have Rich all the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_log_needs_no_rich() -> None:
    script = (
        "import sys\n"
        "from gateway.telemetry.without_rich import import_structlog\n"
        "import_structlog()\n"
        "import gateway.cli.serving.several\n"
        "print(sorted(name for name in sys.modules if name.startswith(('rich', 'pygments'))))\n"
        "from gateway.telemetry.logs import set_up_logging\n"
        "import structlog\n"
        "for kind in ('console', 'json'):\n"
        "    set_up_logging('info', kind)\n"
        "    try:\n"
        "        1 / 0\n"
        "    except ZeroDivisionError:\n"
        "        structlog.get_logger('x').exception('it failed')\n"
        "from rich.console import Console\n"
        "Console(file=sys.stdout).print('there it is')\n"
    )
    found = subprocess.run(  # noqa: S603  # ours
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert found.stdout == "[]\nthere it is\n"
    assert found.stderr.count("ZeroDivisionError: division by zero") == 2, found.stderr
