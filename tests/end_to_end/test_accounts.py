"""People who sign in to a gateway of two workers, on both stores: what one knows both know."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from gateway.store.engine.schema import audit, sessions, users

from ..http_client import http_client
from .harness import GATEWAY, PATIENCE, Served, spawned
from .store import Kept, demo, gateway_command

pytestmark = pytest.mark.slow

PASSWORD: Final = "correct horse battery"
OTHER: Final = "quite another password"
Write = Callable[[str], Path]


@asynccontextmanager
async def two_workers(file: Path) -> AsyncIterator[Served]:
    async with spawned((*GATEWAY, "--workers", "2"), file) as served:
        yield served
        served.terminate()
        assert await served.exit_status() == 0
    assert b"Traceback" not in served.said, served.said.decode()


class Person:
    """Somebody at a browser. Each request has a connection of its own, so any worker may get it."""

    def __init__(self, served: Served) -> None:
        self._base = f"http://127.0.0.1:{served.port}/admin/api/"
        self.cookies = httpx.Cookies()
        self.csrf = ""

    async def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"x-csrf-token": self.csrf, **more.pop("headers", {})}
        async with http_client(
            base_url=self._base, cookies=self.cookies, timeout=PATIENCE
        ) as client:
            answer = await client.request(method, path, headers=headers, **more)
            self.cookies = client.cookies
        if "set-cookie" in answer.headers:
            self.csrf = answer.json().get("csrf_token", "")
        return answer

    async def sign_in(self, name: str, password: str = PASSWORD) -> int:
        answer = await self.call("POST", "session", json={"name": name, "password": password})
        return answer.status_code

    async def statuses(self, times: int = 8) -> set[int]:
        return {(await self.call("GET", "session")).status_code for _ in range(times)}

    async def seen_by_both(self) -> bool:
        """Say whether both workers take the session."""
        pids: set[int] = set()
        for _ in range(100):
            answer = await self.call("GET", "status")
            assert answer.status_code == 200
            pids.add(answer.json()["pid"])
            if len(pids) == 2:
                return True
        return False


async def command(file: Path, *arguments: str, stdin: str = f"{PASSWORD}\n") -> str:
    found = await gateway_command(file, "users", *arguments, stdin=stdin)
    assert found.returncode == 0, found.stderr
    return found.stderr


async def test_what_one_worker_knows_the_other_knows(on_record: Kept, write: Write) -> None:
    file = write(demo(store=on_record.store))
    async with two_workers(file) as served:
        # The gateway runs already.
        await command(file, "create", "root", "--role", "admin")
        await command(file, "create", "ann")
        root, ann, stranger = Person(served), Person(served), Person(served)
        assert await root.sign_in("root") == 200
        assert await ann.sign_in("ann") == 200
        assert await root.seen_by_both()
        assert await ann.seen_by_both()
        assert await stranger.statuses() == {401}
        # Failures are counted together.
        wrong = [await stranger.sign_in("ann", OTHER) for _ in range(10)]
        assert wrong == [401] * 5 + [429] * 5
        assert await ann.statuses() == {200}
        # A change over HTTP, one at the command line, and a sign-out count everywhere at once.
        row, _ = (await root.call("GET", "users")).json()["rows"]
        assert row["name"] == "ann"
        answer = await root.call(
            "PATCH",
            f"users/{row['id']}",
            json={"role": "operator"},
            headers={"if-match": f'"{row["version"]}"'},
        )
        assert answer.status_code == 200, answer.text
        roles = {(await ann.call("GET", "session")).json()["role"] for _ in range(8)}
        assert roles == {"operator"}
        assert (await ann.call("POST", "reload")).json()["reloaded"] is True
        assert "1 session ended" in await command(file, "disable", "ann")
        assert await ann.statuses() == {401}
        stolen = Person(served)
        stolen.cookies = httpx.Cookies(root.cookies)
        assert await stolen.statuses() == {200}
        assert (await root.call("DELETE", "session")).status_code == 200
        assert await stolen.statuses() == {401}
    rows = on_record.rows(audit)
    done = [(row["action"], row["actor_kind"], row["actor"]) for row in rows]
    assert ("sign_in", "user", "root") in done
    assert ("user_changed", "user", "root") in done
    assert ("config_reloaded", "user", "ann") in done
    assert ("sign_out", "user", "root") in done
    assert [kind for action, kind, _ in done if action == "user_created"] == ["operator"] * 2
    said = repr(rows) + repr(on_record.rows(sessions)) + served.said.decode()
    assert not any(secret in said for secret in (PASSWORD, OTHER, str(root.cookies)))
    assert not any(PASSWORD in repr(row) for row in on_record.rows(users))
    verified = await gateway_command(file, "audit", "verify")
    assert verified.returncode == 0, verified.stderr


async def test_a_session_outlives_a_restart(on_sqlite: Kept, write: Write) -> None:
    file = write(demo(store=on_sqlite.store))
    async with two_workers(file) as served:
        await command(file, "create", "root", "--role", "admin")
        root = Person(served)
        assert await root.sign_in("root") == 200
    async with two_workers(file) as served:
        again = Person(served)
        again.cookies, again.csrf = root.cookies, root.csrf
        assert await again.statuses() == {200}
        assert (await again.call("POST", "reload")).status_code == 200
