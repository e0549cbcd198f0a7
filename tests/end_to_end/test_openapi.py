"""The admin API of a running gateway, asked whatever its own description allows, and forbids.

schemathesis makes the requests. Its checks that are left out ask for what is decided otherwise
here: that a parameter which is empty is refused (it counts as not given, since forms send those),
that `a/disable` is no name of a key (names may hold slashes), that 428 is 400, and that what one
field allows is right whatever the others say.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from ..rounds import rounds
from .caller import ask
from .harness import GATEWAY, ROOT, config, spawned
from .provider import serving, speaking
from .store import ADMIN, ADMINS, Kept

pytestmark = pytest.mark.slow

Write = Callable[[str], Path]
CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance"),
    *("response_schema_conformance", "response_headers_conformance"),
)
TOKENS = """
[[teams]]
name = "search"
budget = { usd = 5, window = "day" }
[[tokens]]
name = "app"
key = "sk-app-of-the-tests"
team = "search"
"""


@pytest.mark.timeout(1200)
async def test_it_answers_as_it_says_whatever_is_asked(
    write: Write, on_sqlite: Kept, tmp_path: Path
) -> None:
    async with (
        serving(speaking) as provider,
        spawned(
            GATEWAY, write(config(provider.port, tokens=ADMINS + TOKENS, store=on_sqlite.store))
        ) as served,
    ):
        for _ in range(3):
            assert (await ask(served.port, key="sk-app-of-the-tests")).status == 200
        cases = await _asked(served.port, tmp_path)
        # It did ask, of each operation: a run that found nothing to ask passes, too.
        assert cases > 120
        assert served.process.poll() is None
    assert b"Traceback" not in served.said, served.said.decode()[-4000:]


# A few of each operation, which are the same each time; in a soak at random for five minutes, after
# the thousands that are made of each bound and each member on its own.
HOW_MANY = rounds(
    ("--phases", "fuzzing", "--max-examples", "3", "--seed", "1"),
    ("--phases", "coverage,fuzzing", "--max-time", "300"),
)


async def _asked(port: int, folder: Path) -> int:
    """Ask at random; return how many requests that were, which all went well."""
    found = await trio.run_process(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run"),
            f"http://127.0.0.1:{port}/admin/api/openapi.json",
            *("--header", f"authorization: Bearer {ADMIN}"),
            *("--checks", ",".join(CHECKS)),
            *HOW_MANY,
            # How long it takes to make one says something of the machine only.
            *("--suppress-health-check", "too_slow"),
            *("--continue-on-failure", "--no-color", "--warnings", "off"),
        ],
        cwd=folder,
        env={"PATH": "", "HOME": str(folder), "PYTHONPATH": str(ROOT)},
        capture_stdout=True,
        stderr=subprocess.STDOUT,
        check=False,
    )
    said = found.stdout.decode()
    cases = re.search(r"(\d+) generated", said)
    assert found.returncode == 0, said[-8000:]
    assert cases, said[-8000:]
    return int(cases[1])
