"""An older version's code and this one's, on one database: either way round, side by side.

The older one is the last release of this repository, or, as long as there is none, the first commit
whose code can be used so. A clone without git skips these tests.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.store.engine import migrate

from ..compiled import take_compiled
from ..once import made_once
from .caller import ask
from .harness import GATEWAY, ROOT, config, spawned, starting
from .provider import serving, speaking, until
from .store import Kept

pytestmark = pytest.mark.slow

Write = Callable[[str], Path]
# By it a version looks whether a newer database has what it needs; without it none would start.
LOOKS = "gateway/store/engine/newer.py"


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Return the command of the older version, without arguments."""
    added = git("log", "--diff-filter=A", "--format=%H", "--", LOOKS).decode().split()
    if not added:
        pytest.skip("there is no older version here")
    # Tags that have that commit in them, the newest first.
    tags = git("tag", "--sort=-creatordate", "--contains", added[-1]).decode().split()

    def make(folder: Path) -> None:
        code = git("archive", "--format=tar", (tags or added[-1:])[0], "gateway")
        assert code, "git knows the commit, but has no code of it"
        with tarfile.open(fileobj=io.BytesIO(code)) as archive:
            archive.extractall(folder, filter="data")
        take_compiled(folder / "gateway")

    # Whoever starts it first compiles for all what is different.
    folder = made_once(tmp_path_factory, "older", make)
    return ("env", f"PYTHONPATH={folder}", sys.executable, "-m", "gateway")


def git(*arguments: str) -> bytes:
    """Return what git says, nothing if it fails or is not there."""
    try:
        found = subprocess.run(  # noqa: S603
            ["git", *arguments],  # noqa: S607
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        return b""
    return found.stdout if found.returncode == 0 else b""


def tomorrow(kept: Kept) -> None:
    """Do to the database what the rule lets a later revision do."""
    kept.execute("ALTER TABLE requests ADD COLUMN tomorrow TEXT")
    kept.execute("ALTER TABLE attempts ADD COLUMN tomorrow INTEGER NOT NULL DEFAULT 0")
    kept.execute("CREATE TABLE of_tomorrow (id INTEGER PRIMARY KEY)")
    kept.execute("UPDATE alembic_version SET version_num = '9999'")


async def test_older_code_serves_and_records_on_a_newer_database(
    older: tuple[str, ...], write: Write, on_record: Kept
) -> None:
    tomorrow(on_record)
    async with serving(speaking) as provider:
        file = write(config(provider.port, store=on_record.store))
        async with spawned((*older, "serve"), file) as old, spawned(GATEWAY, file) as new:
            asked = [await ask(each.port) for each in (old, new, old)]
            asked.append(await ask(old.port, stream=True))
            assert [each.status for each in asked] == [200] * 4
            wanted = [each.headers["x-request-id"] for each in asked]
            await on_record.until(wanted)
            assert b"Traceback" not in old.said
    assert len(on_record.rows()) == 4
    on_record.check_rollups()


async def test_newer_code_brings_an_older_database_up_to_date_under_its_gateway(
    older: tuple[str, ...], write: Write, on_fresh_postgresql: Kept
) -> None:
    kept = on_fresh_postgresql
    async with serving(speaking) as provider:
        text = config(provider.port, store=kept.store)
        file = write(text)
        async with spawned((*older, "serve"), file) as old:
            first = await ask(old.port)
            if kept.revision() != migrate.HEAD:
                # It does not start on what lacks something, and says what to do.
                file.write_text(text.replace("auto_migrate = true", ""))
                async with starting(GATEWAY, file) as refused:
                    assert await refused.exit_status() == 1
                    await until(lambda: b"gateway db upgrade" in refused.said, "what to do")
            migrate.upgrade(kept.database)
            async with spawned(GATEWAY, file) as new:
                more = [await ask(each.port) for each in (old, new, old)]
                wanted = [each.headers["x-request-id"] for each in (first, *more)]
                await kept.until(wanted)
    assert len(kept.rows()) == 4
