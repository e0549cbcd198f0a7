"""Backup and restore on PostgreSQL by the commands of docs/running.md; an upgrade taken back."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Final

import pytest

from ..end_to_end.caller import ask
from ..end_to_end.harness import GATEWAY, ROOT, Served, spawned, starting
from ..end_to_end.provider import until
from ..fork_server import popen
from ..postgres import PostgresServer, programs

pytestmark = pytest.mark.slow

DOCS: Final = (ROOT / "docs" / "running.md").read_text()
CONFIG: Final = """
[server]
bind = "127.0.0.1:0"
[overload]
lag = 0
[log]
requests = false
[store]
url = "${DATABASE_URL}"
auto_migrate = true
[providers.demo]
kind = "demo"
token_interval = 0.0
[[models]]
name = "m"
routes = [{ provider = "demo", model = "demo-1", input_price = 1, output_price = 2 }]
"""


def documented(program: str) -> str:
    """Return the command of that program as the documentation has it."""
    (found,) = re.findall(rf"(?m)^{program} .*$", DOCS)
    return str(found)


class Site:
    """A folder with a configuration, a database, and what can be done there."""

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        self.folder = folder
        self.server = server
        self.file = folder / "config.toml"
        self.file.write_text(CONFIG)
        (folder / "backup").mkdir()
        self.database = server.new_database()

    @property
    def url(self) -> str:
        return self.server.url(self.database).replace("+psycopg", "")

    @property
    def environ(self) -> dict[str, str]:
        path = f"{programs()}:{os.environ['PATH']}"
        return {**os.environ, "DATABASE_URL": self.url, "PATH": path, "PYTHONPATH": str(ROOT)}

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S602  # from the documentation
            command, shell=True, cwd=self.folder, env=self.environ,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def gateway(self, *arguments: str) -> str:
        found = popen.run(
            [*popen.GATEWAY, *arguments],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
        )
        assert found.returncode == 0, found.stderr
        return str(found.stdout)

    def ids(self) -> list[str]:
        rows = self.server.execute("SELECT request_id FROM requests", self.database)
        return [str(each) for (each,) in rows]

    def restore(self) -> None:
        """Into a new database, as it is documented: of the same name, which tests need not have."""
        self.server.drop_database(self.database)
        self.database = self.server.new_database("template0")
        found = self.run(documented("pg_restore"))
        assert (found.returncode, found.stderr) == (0, "")

    async def ask(self, served: Served, key: str, number: int) -> list[str]:
        found = []
        for _ in range(number):
            answer = await ask(served.port, key=key, model="m")
            assert answer.status == 200, answer.body
            found.append(answer.headers["x-request-id"])
        return found


@pytest.fixture
def site(tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Site:
    found = Site(tmp_path, postgres)
    monkeypatch.setenv("DATABASE_URL", found.url)
    return found


async def test_all_is_lost_and_put_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.gateway("db", "upgrade")
    key = site.gateway("keys", "create", "app", "--budget-usd", "5").strip()
    async with spawned(GATEWAY, site.file) as served:
        before = await site.ask(served, key, 5)
        await until(lambda: set(before) <= set(site.ids()), "records", 30)
        (head,) = re.findall(r"(?m)^head: (.*)$", site.gateway("audit", "verify"))
        saved = site.run(documented("pg_dump"))
        assert (saved.returncode, saved.stderr) == (0, "")
        between = await site.ask(served, key, 3)
        await until(lambda: set(between) <= set(site.ids()), "records", 30)
        os.kill(served.pid, signal.SIGKILL)
    site.restore()
    monkeypatch.setenv("DATABASE_URL", site.url)
    async with spawned(GATEWAY, site.file) as served:
        after = await site.ask(served, key, 2)
        await until(lambda: set(after) <= set(site.ids()), "records", 30)
        assert sorted(site.ids()) == sorted([*before, *after])
        assert "the log is whole" in site.gateway("audit", "verify", "--expect", head)
        assert "app" in site.gateway("keys", "list")
        # What forbids to change the audit log came back with it.
        with pytest.raises(Exception, match="audit"):
            site.server.execute("UPDATE audit SET actor = 'x'", site.database)


async def test_an_upgrade_is_taken_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.gateway("db", "upgrade")
    assert "up to date" in site.gateway("db", "check")
    key = site.gateway("keys", "create", "app").strip()
    assert site.run(documented("pg_dump")).returncode == 0
    # What a newer version would do.
    for statement in (
        "CREATE TABLE of_tomorrow (id integer)",
        "ALTER TABLE requests ADD COLUMN tomorrow text NOT NULL DEFAULT ''",
        "ALTER TABLE requests ALTER COLUMN tomorrow DROP DEFAULT",
        "UPDATE alembic_version SET version_num = '9999'",
    ):
        site.server.execute(statement, site.database)
    async with starting(GATEWAY, site.file) as served:
        assert await served.exit_status() == 1
        unknown = b"'9999', which this gateway does not know"
        await until(lambda: unknown in served.said, "the reason on stderr")
    site.restore()
    monkeypatch.setenv("DATABASE_URL", site.url)
    assert "up to date" in site.gateway("db", "check")
    async with spawned(GATEWAY, site.file) as served:
        (asked,) = await site.ask(served, key, 1)
        await until(lambda: asked in site.ids(), "the record", 30)
    tables = site.server.execute(
        "SELECT 1 FROM pg_tables WHERE tablename = 'of_tomorrow'", site.database
    )
    assert tables == []
