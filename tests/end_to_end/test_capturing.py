"""Keys captured for a while, and grants, with two workers on one database."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
import trio

from .caller import ask
from .harness import GATEWAY, children, spawned
from .store import Kept, demo
from .test_keys import BUSY, command, everywhere, operate

pytestmark = pytest.mark.slow

Write = Callable[[str], Path]
_TOKENS: Final = (
    '[[tokens]]\nname = "f"\nkey = "key-of-f"\n[[tokens]]\nname = "g"\nkey = "key-of-g"\n'
)
# Seconds until a capture is written: a batch takes no longer.
_WRITTEN: Final = 1.0


def files_in(folder: Path) -> list[Path]:
    return [*folder.rglob("*.jsonl.gz")]


async def captured(folder: Path, port: int, key: str = "key-of-f") -> set[bool]:
    """Return whether requests are captured, of several, which any worker may take."""
    ids = [(await ask(port, key=key)).headers["x-request-id"] for _ in range(6)]
    await trio.sleep(_WRITTEN)
    found = {path.name for path in await trio.to_thread.run_sync(files_in, folder)}
    return {any(name.startswith(each) for name in found) for each in ids}


async def keeps(folder: Path, port: int, wanted: bool) -> None:
    with trio.fail_after(4 * BUSY):
        while True:
            if await captured(folder, port) == {wanted}:
                return


async def test_a_key_is_captured_in_every_worker_for_a_while(on_record: Kept, write: Write) -> None:
    file = write(demo(store=on_record.store, more=_TOKENS))
    folder = file.parent / "debug"
    async with spawned((*GATEWAY, "--workers", "2"), file) as served:
        port = served.port
        assert await captured(folder, port) == {False}
        started = await operate(port, "POST", "capturing/f/start", {"for": 600, "reason": "odd"})
        assert started.status == 200, started.body
        await keeps(folder, port, True)
        # Another key is not, and a reload or a worker that begins later changes nothing.
        assert await captured(folder, port, "key-of-g") == {False}
        assert (await operate(port, "POST", "reload")).status == 200
        os.kill(children(served.pid)[0], signal.SIGKILL)
        await trio.sleep(0.5)
        await keeps(folder, port, True)
        listed = (await operate(port, "GET", "capturing")).json["rows"]
        assert [(each["token"], each["opened_by"], each["reason"]) for each in listed] == [
            ("f", "root", "odd")
        ]
        assert "f  until" in await command(file, "debug", "windows")
        await command(file, "debug", "stop", "f")
        await keeps(folder, port, False)
        await command(file, "debug", "capture", "f", "--for", "600", "--reason", "again")
        assert "again" in await command(file, "debug", "windows")
        missing = await operate(port, "POST", "capturing/nobody/start")
        assert missing.status == 404
    actions = json.loads(await command(file, "audit", "list", "--json"))
    done = [each["action"] for each in reversed(actions) if each["target"] == "f"]
    assert done == ["capturing_started", "capturing_stopped", "capturing_started"]


async def test_a_grant_stands_for_a_key_in_every_worker(on_record: Kept, write: Write) -> None:
    file = write(demo(store=on_record.store, more=_TOKENS))
    async with spawned((*GATEWAY, "--workers", "2"), file) as served:
        port = served.port
        made = await operate(port, "POST", "keys/f/grant")
        assert made.status == 201, made.body
        secret = made.json["secret"]
        assert made.json["expires"] > time.time() * 1_000_000
        await trio.sleep(made.json["usable_in_ms"] / 1000)
        await everywhere(port, secret, 200)
        answer = await ask(port, key=secret)
        row = await on_record.of(answer.headers["x-request-id"])
        assert row["token"] == "f"
        assert json.loads(row["metadata"]) == {"granted_to": "root"}
        # It is no key of the admin API, and none of a key that is not there.
        assert (await operate(port, "POST", "keys/nobody/grant")).status == 404
        # It ends with its key.
        file.write_text(file.read_text().replace('name = "f"\nkey = "key-of-f"',
                                                 'name = "h"\nkey = "key-of-f"'))  # fmt: skip
        assert (await operate(port, "POST", "reload")).status == 200
        await everywhere(port, secret, 401)
    kept = await command(file, "audit", "list", "--json")
    assert secret not in kept
    assert "key_granted" in kept
    # Neither is its secret in the database.
    database = file.parent / "gateway.db"
    if database.exists():
        assert secret.encode() not in database.read_bytes()
