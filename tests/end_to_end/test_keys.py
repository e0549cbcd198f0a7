"""Keys that are made and changed while two workers serve: over HTTP, and at a terminal."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import h11
import pytest
import trio

from .caller import Reply, ask, calling
from .harness import GATEWAY, children, spawned
from .store import ADMIN, Kept, demo, gateway_command

pytestmark = pytest.mark.slow

Write = Callable[[str], Path]
# Seconds within which a change holds everywhere; as many again on a machine that is busy.
SOON: Final = 2.0
BUSY: Final = 30.0


async def operate(port: int, method: str, path: str, body: object = None, **headers: str) -> Reply:
    content = b"" if body is None else json.dumps(body).encode()
    async with calling(port) as caller:
        pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
        await caller.begin(
            len(content), key=ADMIN, target=f"/admin/api/{path}", method=method, headers=pairs
        )
        data = caller._send(h11.Data(data=content)) if content else b""
        await caller.stream.send_all(data + caller._send(h11.EndOfMessage()))
        return await caller.reply()


async def everywhere(port: int, key: str, status: int) -> float:
    """Wait until every worker answers so to a key; return after how many seconds."""
    began = time.monotonic()
    # Whoever is refused often is refused without a look at the key.
    wanted = {401, 429} if status == 401 else {status}
    with trio.fail_after(BUSY):
        while True:
            # Each is a connection of its own, which any worker may take.
            found = {(await ask(port, key=key)).status for _ in range(8)}
            if found <= wanted:
                return time.monotonic() - began
            await trio.sleep(0.2)


@pytest.mark.measured
async def test_a_key_from_its_making_to_its_end(on_record: Kept, write: Write) -> None:
    file = write(demo(store=on_record.store, more='[[tokens]]\nname = "f"\nkey = "key-of-f"\n'))
    async with spawned((*GATEWAY, "--workers", "2"), file) as served:
        assert len(children(served.pid)) == 2
        port = served.port
        assert (await ask(port, key="key-of-f")).status == 200
        made = await operate(port, "POST", "keys", {"name": "k", "team": "search"})
        assert made.status == 201, made.body
        secret = made.json["secret"]
        took = [await everywhere(port, secret, 200)]
        edited = await operate(port, "PATCH", "keys/k", {"models": []}, if_match='"v1"')
        assert edited.status == 200, edited.body
        took.append(await everywhere(port, secret, 403))
        stale = await operate(port, "PATCH", "keys/k", {"models": ["*"]}, if_match='"v1"')
        assert stale.status == 412
        await operate(port, "PATCH", "keys/k", {"models": ["*"]}, if_match='"v2"')
        took.append(await everywhere(port, secret, 200))
        rotated = await operate(port, "POST", "keys/k/rotate", {"overlap_s": 3600})
        took.append(await everywhere(port, rotated.json["secret"], 200))
        assert (await ask(port, key=secret)).status == 200
        # At a terminal the same operations, beside the gateway that runs.
        await command(file, "keys", "disable", "k")
        took.append(await everywhere(port, secret, 401))
        await command(file, "keys", "enable", "k")
        took.append(await everywhere(port, secret, 200))
        await operate(port, "DELETE", "keys/k")
        took.append(await everywhere(port, rotated.json["secret"], 401))
        # On a machine that does nothing else each takes a second or so.
        assert sorted(took)[len(took) // 2] < 2 * SOON, took
    actions = await command(file, "audit", "list", "--json")
    assert [each["action"] for each in reversed(json.loads(actions)) if each["target"] == "k"] == [
        *("token_created", "token_changed", "token_changed", "token_rotated"),
        *("token_disabled", "token_enabled", "token_revoked"),
    ]
    assert secret not in actions
    verified = await command(file, "audit", "verify")
    assert "fault" not in verified
    assert {(row["token"], row["team"]) for row in on_record.rows() if row["status"] == 200} == {
        ("k", "search"),
        ("f", None),
    }


async def command(file: Path, *arguments: str) -> str:
    found = await gateway_command(file, *arguments)
    assert found.returncode == 0, found.stderr
    return found.stdout


async def test_a_team_s_limits_hold_in_every_worker(on_record: Kept, write: Write) -> None:
    token = '[[tokens]]\nname = "f"\nkey = "key-of-f"\nteam = "search"\n'
    file = write(demo(store=on_record.store, more=token))
    async with spawned((*GATEWAY, "--workers", "2"), file) as served:
        port = served.port
        made = await operate(port, "POST", "keys", {"name": "k", "team": "search"})
        keys = ("key-of-f", made.json["secret"])
        await everywhere(port, keys[1], 200)
        made = await operate(port, "POST", "teams", {"name": "search", "rpm": 1})
        assert made.status == 201, made.body
        # Of the file or of the database: the keys of a team share its limits.
        took = [await everywhere(port, key, 429) for key in keys]
        await command(file, "teams", "delete", "search")
        took += [await everywhere(port, key, 200) for key in keys]
        assert min(took) < BUSY


async def test_a_drain_and_a_cancel_reach_every_worker(on_record: Kept, write: Write) -> None:
    slow = '[[models]]\nname = "slow"\nroutes = [{ provider = "q", model = "y" }]\n'
    more = f'[providers.q]\nkind = "demo"\ntoken_interval = 1.0\n{slow}'
    file = write(demo(store=on_record.store, more=more))
    async with spawned((*GATEWAY, "--workers", "2"), file) as served:
        port = served.port
        drained = await operate(port, "POST", "deployments/p/x/drain", {"for": 600, "reason": "r"})
        assert drained.status == 200, drained.body
        await everywhere(port, "any", 503)
        listed = await operate(port, "GET", "deployments")
        rows = {row["name"]: row for row in listed.json["rows"]}
        assert (rows["p/x"]["drained_by"], rows["p/x"]["reason"]) == ("root", "r")
        assert rows["q/y"]["drained_until"] is None
        # A worker that begins now knows it, too.
        os.kill(children(served.pid)[0], signal.SIGKILL)
        await everywhere(port, "any", 503)
        assert "taken out by an operator" in (await ask(port)).error["message"]
        assert (await operate(port, "POST", "deployments/p/x/enable")).status == 200
        await everywhere(port, "any", 200)

        # Whichever worker has it and whichever is asked.
        async with calling(port) as caller:
            await caller.ask(stream=True, request_id="to-cancel", model="slow")
            assert await caller.head() == 200
            cancelled = await operate(port, "POST", "in-flight/to-cancel/cancel")
            assert cancelled.status in (200, 202), cancelled.body
            with trio.fail_after(BUSY):
                body, _ = await caller.rest()
            assert b"cancelled_by_operator" in body
        (row,) = [await on_record.of("to-cancel")]
        assert row["end_reason"] == "cancelled_by_operator"
    actions = json.loads(await command(file, "audit", "list", "--json"))
    done = [each["action"] for each in reversed(actions)]
    assert [each for each in done if each not in ("migrated", "sign_in")] == [
        *("deployment_drained", "deployment_enabled", "request_cancelled")
    ]
