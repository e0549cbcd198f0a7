"""What is on record of requests, and of what operators and admins do, in both databases."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from sqlalchemy import text

from gateway.core.records.periods import HOUR, MINUTE
from gateway.store.engine.schema import attempts, audit, rollups

from .caller import Reply, calling, get
from .harness import GATEWAY, PATIENCE, Served, config, spawned
from .provider import Asked, Provider, serving, speaking, until
from .store import ADMIN, Kept, admin, demo, gateway_command, loading, post
from .wire import STALL, Script, event, failure, framed, stream_head

pytestmark = pytest.mark.slow

Write = Callable[[str], Path]

KEY: Final = "sk-of-alice-1234567890"
TOKENS: Final = (
    f'[[tokens]]\nname = "alice"\nkey = "{KEY}"\n'
    '[[tokens]]\nname = "poor"\nkey = "sk-of-poor-1234567890"\nrpm = 1\n'
)
KEPT_HEADERS: Final = '[log]\nsession_headers = ["x-chat"]\nmetadata_headers = ["x-team"]\n'
ABOUT: Final = [("user-agent", "tests/1.0"), ("x-chat", "session-7"), ("x-team", "blue")]
# 19 tokens at 1 dollar a million, 10 at 2 dollars.
COST: Final = 19 * 1000 + 10 * 2000


def wanted(asked: Asked) -> str:
    """Return the last word of the prompt: what the provider is to do."""
    content: str = asked.json["messages"][0]["content"]
    return content.rpartition(" ")[2]


def first_provider(asked: Asked) -> Script:
    match wanted(asked):
        case "fail-over":
            return [(0.0, failure(503, "the first is down"))]
        case "refuse":
            return [(0.0, failure(400, "no such option", code="bad_option"))]
        case "stall":
            return [
                (0.0, stream_head()),
                (0.0, framed(event({"content": "first"}))),
                (0.0, STALL),
            ]
        case "be-silent":
            return [(0.0, STALL)]
        case "slowly":
            return [(0.3, b""), *speaking(asked)]
    return speaking(asked)


def message(word: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"please {word}"}]


async def call(
    served: Served, request_id: str, word: str = "answer", key: str = KEY, **body: Any
) -> Reply:
    async with calling(served.port) as caller:
        await caller.ask(
            request_id=request_id, key=key, headers=ABOUT, messages=message(word), **body
        )
        return await caller.reply()


async def leave(served: Served, request_id: str, word: str, provider: Provider) -> None:
    """Leave in the middle of a stream, or before it has begun."""
    before = len(provider.asked)
    async with calling(served.port) as caller:
        await caller.ask(
            request_id=request_id, key=KEY, headers=ABOUT, messages=message(word), stream=True
        )
        if word == "stall":
            await caller.head()
            await caller.until(b"first")
        await provider.wait_asked(before + 1)


@contextlib.asynccontextmanager
async def gateway(file: Path) -> AsyncIterator[Served]:
    async with spawned(GATEWAY, file) as served:
        yield served
        served.terminate()
        assert await served.exit_status() == 0
    assert b"Traceback" not in served.said, served.said.decode()


# Requests...


async def test_a_row_says_everything_of_its_request(on_record: Kept, write: Write) -> None:
    cached = (
        "cache = { ttl = 60, coalesce = true }\n"
        '[[models]]\nname = "plain"\n'
        'routes = [{ provider = "p1", model = "other-model" }]\n'
    )
    async with serving(first_provider) as first, serving(speaking) as second:
        text = config(
            *(first.port, second.port),
            retry="per_target = 0\nbase = 0.01",
            tokens=KEPT_HEADERS + TOKENS,
            models=cached,
            store=on_record.store,
            server="drain_delay = 0",
        )
        async with gateway(write(text)) as served:
            replies = {
                "whole": await call(served, "whole", user="u-1"),
                "stream": await call(served, "stream", stream=True),
                "over": await call(served, "over", "fail-over"),
                "no-key": await call(served, "no-key", key="sk-wrong"),
                "no-model": await call(served, "no-model", model="nothing"),
                "poor-1": await call(served, "poor-1", key="sk-of-poor-1234567890", model="plain"),
                "poor-2": await call(served, "poor-2", key="sk-of-poor-1234567890", model="plain"),
                "refused": await call(served, "refused", "refuse"),
                "hit": await call(served, "hit", user="u-1"),
            }
            await leave(served, "gone", "stall", first)
            await leave(served, "gone-early", "be-silent", first)
            async with trio.open_nursery() as nursery:
                for number in range(3):
                    nursery.start_soon(call, served, f"shared-{number}", "slowly")
            await until(lambda: served.lines.count(b"\n") >= 14, "a line for each", PATIENCE)
        statuses = {name: reply.status for name, reply in replies.items()}
        lines = {line["request_id"]: line for line in map(json.loads, served.lines.splitlines())}
    assert statuses == {
        **dict.fromkeys(("whole", "stream", "over", "poor-1", "hit"), 200),
        "no-key": 401,
        "no-model": 404,
        "poor-2": 429,
        "refused": 400,
    }
    rows = {row["request_id"]: row for row in on_record.rows()}
    tried: dict[int, list[dict[str, Any]]] = {}
    for each in on_record.rows(attempts):
        tried.setdefault(each["request"], []).append(each)
    assert sorted(rows) == sorted(
        [*statuses, "gone", "gone-early", "shared-0", "shared-1", "shared-2"]
    )
    assert rows.keys() == lines.keys()

    for request_id, row in rows.items():
        # What the caller says of itself is there however the request ended.
        assert row["client_ip"] == "127.0.0.1"
        assert row["user_agent"] == "tests/1.0"
        assert row["session"] == "session-7"
        assert json.loads(row["metadata"]) == {"x-team": "blue"}
        assert row["operation"] == "chat"
        assert row["latency_us"] > 0
        assert row["attempts"] == len(tried.get(row["id"], ()))
        assert row["stream"] == (request_id in {"stream", "gone", "gone-early"})
        # And what is on standard output is the same.
        line = lines[request_id]
        for name in ("token", "model", "provider", "status", "end_reason", "input_tokens"):
            assert row[name] == line.get(name), (request_id, name)
        assert row["cost_nano_usd"] == line.get("cost_nano_usd")

    def some(request_id: str, *names: str) -> tuple[Any, ...]:
        return tuple(rows[request_id][name] for name in names)

    for name in ("whole", "stream", "over", "hit", "refused", "gone", "shared-0"):
        assert some(name, "token", "model") == ("alice", "m")
    how = ("status", "end_reason", "error_code", "provider", "provider_model", "cached")
    for name in ("whole", "stream"):
        assert some(name, *how) == (200, "complete", None, "p0", "real-model", False)
    assert some("over", *how) == (200, "complete", None, "p1", "real-model", False)
    assert some("hit", *how)[:3] == (200, "cached", None)
    assert some("hit", "cached", "cost_nano_usd", "attempts") == (True, 0, 0)
    assert some("no-key", *how) == (401, "rejected", "invalid_api_key", None, None, False)
    assert some("no-key", "token", "attempts") == (None, 0)
    assert some("no-model", *how) == (404, "rejected", "model_not_found", None, None, False)
    assert some("poor-2", *how) == (429, "rejected", "rate_limit_exceeded", None, None, False)
    assert some("poor-2", "token", "model") == ("poor", "plain")
    assert some("refused", *how[:2]) == (400, "provider_rejected")
    # What the caller saw, if it saw anything.
    assert some("gone", *how[:2]) == (200, "client_gone")
    assert some("gone-early", *how[:2]) == (499, "client_gone")
    assert some("whole", "user") == ("u-1",)

    for name in ("whole", "stream", "over"):
        assert some(name, "input_tokens", "output_tokens", "cost_nano_usd") == (19, 10, COST)
        first_event, latency = some(name, "first_event_us", "latency_us")
        assert 0 < first_event <= latency
    assert rows["stream"]["events"] >= 3
    assert rows["gone"]["first_event_us"] is not None

    def causes(request_id: str) -> list[tuple[Any, ...]]:
        found = tried[rows[request_id]["id"]]
        return [tuple(each[n] for n in ("number", "provider", "cause", "status")) for each in found]

    assert causes("whole") == [(1, "p0", None, 200)]
    assert causes("over") == [(1, "p0", "server_error", 503), (2, "p1", None, 200)]
    assert "the first is down" in tried[rows["over"]["id"]][0]["error"]
    assert causes("refused") == [(1, "p0", "rejected", 400)]
    assert all(each["duration_us"] > 0 for found in tried.values() for each in found)

    # One of those that shared a call has made it and paid for it.
    shared = [rows[f"shared-{number}"] for number in range(3)]
    assert {row["status"] for row in shared} == {200}
    assert sorted(row["end_reason"] for row in shared) == ["cached", "cached", "complete"]
    assert sorted(row["cost_nano_usd"] for row in shared) == [0, 0, COST]
    assert sorted(row["attempts"] for row in shared) == [0, 0, 1]
    on_record.check_rollups()


async def test_answers_of_the_admin_api_and_exports_are_what_is_on_record(
    on_record: Kept, write: Write
) -> None:
    file = write(demo(store=on_record.store))
    async with gateway(file) as served:
        async with loading(served.port, callers=12, pace=0.1) as load:
            await trio.sleep(0.6)
        await on_record.until(load.answered)
        found: list[dict[str, Any]] = []
        after: str | None = ""
        while after is not None:
            page = await admin(served.port, f"requests?limit=17&cursor={after}")
            found += page["rows"]
            after = page["next"]
        assert sorted(row["request_id"] for row in found) == sorted(load.answered)
        # Newest first.
        assert [row["time"] for row in found] == sorted((r["time"] for r in found), reverse=True)
        one = await admin(served.port, f"requests/{found[0]['request_id']}")
        assert one["rows"][0]["tried"][0]["provider"] == "p"
        stats = await admin(served.port, "stats")
        used = await admin(served.port, "usage?group_by=model")
        assert stats["total"]["requests"] == len(load.answered)
        assert [row["requests"] for row in used["rows"]] == [len(load.answered)]
        reply = await get(served.port, "/admin/api/export/requests?format=jsonl", key=ADMIN)
        exported = [json.loads(line)["request_id"] for line in reply.body.splitlines()]
        assert sorted(exported) == sorted(load.answered)
        done = await gateway_command(file, "export", "requests", "--format", "jsonl")
        assert done.returncode == 0, done.stderr
        assert sorted(json.loads(line)["request_id"] for line in done.stdout.splitlines()) == (
            sorted(load.answered)
        )


# What was done to the gateway...


async def test_audit_log_has_what_operators_and_admins_did(on_record: Kept, write: Write) -> None:
    before = demo(store=on_record.store, more=TOKENS)
    file = write(before)

    async def noted(number: int) -> None:
        """Wait until so many reloads are on record: signals have no answer."""

        def are_noted() -> bool:
            reloads = [row for row in on_record.rows(audit) if row["action"] == "config_reloaded"]
            return len(reloads) >= number

        await until(are_noted, f"{number} reloads on record", PATIENCE)

    async with gateway(file) as served:
        made = await gateway_command(file, "tokens", "create", "bob", "--rpm", "60")
        assert made.returncode == 0, made.stderr
        await noted(1)
        revoked = await gateway_command(file, "tokens", "revoke", "bob")
        assert revoked.returncode == 0, revoked.stderr
        await noted(2)
        file.write_text(before.replace("rpm = 1", "rpm = 2"))
        os.kill(served.pid, signal.SIGHUP)
        await noted(3)
        file.write_text(before + "[lgo]\n")
        os.kill(served.pid, signal.SIGHUP)
        await noted(4)
        file.write_text(before.replace("rpm = 1", "rpm = 3"))
        assert (await post(served.port, "reload")).status == 200
        assert (await get(served.port, "/admin/api/status", key="sk-not-an-admin")).status == 401
        await get(served.port, "/admin/api/export/usage", key=ADMIN)
        await admin(served.port, "requests?status=5xx")
    listed = await gateway_command(file, "audit", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    rows: list[dict[str, Any]] = json.loads(listed.stdout)

    def of(action: str, result: str = "ok") -> list[dict[str, Any]]:
        """Return what was done, in its order."""
        return [r for r in reversed(rows) if (r["action"], r["result"]) == (action, result)]

    (created,) = of("token_created")
    (gone,) = of("token_revoked")
    assert (created["target"], gone["target"]) == ("bob", "bob")
    assert created["actor_kind"] == "operator"
    assert created["actor"]
    assert created["details"] == {"settings": ["rpm"]}
    reloads = of("config_reloaded")
    changed = [each["details"]["changed"] for each in reloads]
    assert changed == [["tokens.bob"], ["tokens.bob"], ["tokens.poor.rpm"], ["tokens.poor.rpm"]]
    by_signal, by_admin = reloads[2], reloads[3]
    assert (by_signal["actor_kind"], by_signal["client_ip"]) == ("operator", None)
    assert (by_admin["actor_kind"], by_admin["actor"]) == ("admin", "root")
    assert by_admin["client_ip"] == "127.0.0.1"
    (failed,) = of("config_reloaded", "failed")
    assert failed["details"] == {"problems": 1}
    assert [each["target"] for each in of("token_changed")] == ["poor", "poor"]
    (refused,) = of("sign_in", "refused")
    assert (refused["actor"], refused["client_ip"]) == (None, "127.0.0.1")
    (signed_in,) = of("sign_in")
    assert (signed_in["actor"], signed_in["client_ip"]) == ("root", "127.0.0.1")
    (exported,) = of("exported")
    assert (exported["target"], exported["actor"]) == ("usage", "root")
    (viewed,) = of("log_viewed")
    assert viewed["details"]["filters"] == {"status": "5xx"}
    # Neither the old value of a limit nor the key of anybody.
    for secret in (KEY, ADMIN, made.stdout.strip(), "sk-not-an-admin"):
        assert secret not in listed.stdout

    whole = await gateway_command(file, "audit", "verify")
    assert whole.returncode == 0, whole.stderr
    change_by_hand(on_record, failed["id"])
    broken = await gateway_command(file, "audit", "verify")
    assert broken.returncode == 1
    assert f"row {failed['id']} " in broken.stderr


def change_by_hand(on_record: Kept, row_id: int) -> None:
    """Do what somebody can who owns the database."""

    def work(connection: Any) -> None:
        # Whatever stands in the way of a mistake is no obstacle to who means it.
        if on_record.database.dialect == "postgresql":
            connection.execute(text("ALTER TABLE audit DISABLE TRIGGER USER"))
        else:
            triggers = connection.execute(
                text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            )
            for name in [*triggers.scalars()]:
                connection.exec_driver_sql(f'DROP TRIGGER "{name}"')
        changed = connection.execute(
            text("UPDATE audit SET result = 'ok' WHERE id = :id"), {"id": row_id}
        )
        assert changed.rowcount == 1

    on_record.database.write_now(work)


# Retention, and what a reload can change...


async def test_retention_deletes_while_requests_go_on(on_record: Kept, write: Write) -> None:
    file = write(
        demo(store=on_record.store, more="[retention]\nrequests_days = 0.00001\ninterval = 1")
    )
    async with gateway(file) as served:
        async with loading(served.port, callers=6, pace=0.1) as load:

            def is_noted() -> bool:
                return any(row["action"] == "retention" for row in on_record.rows(audit))

            # It is on record for a second only, so that to wait for it first may be too late.
            await until(is_noted, "a run of retention", PATIENCE)
            assert "r-1" in load.answered
            await until(lambda: "r-1" not in on_record.ids(), "what is too old is gone", PATIENCE)
        assert not load.failed
    left = on_record.ids()
    assert len(left) == len(set(left))
    assert set(left) < load.answered.keys()
    # Sums by hour and day outlive what they are sums of, and attempts don't.
    sums = on_record.rows(rollups)
    assert sum(each["requests"] for each in sums if each["period"] == HOUR) == len(load.answered)
    minutes = sum(each["requests"] for each in sums if each["period"] == MINUTE)
    assert len(left) <= minutes <= len(load.answered)
    assert {each["request"] for each in on_record.rows(attempts)} == {
        row["id"] for row in on_record.rows()
    }
    actions = {(row["action"], row["actor_kind"]) for row in on_record.rows(audit)}
    assert ("retention", "system") in actions


async def test_reload_changes_what_it_can_and_says_what_it_cannot(
    on_sqlite: Kept, write: Write
) -> None:
    before = demo(more="[retention]\nrequests_days = 0\ninterval = 1\n")
    file = write(before)

    async def ask(request_id: str) -> None:
        async with calling(served.port) as caller:
            await caller.ask(request_id=request_id)
            assert (await caller.reply()).status == 200

    async with gateway(file) as served:
        await ask("before")
        assert (await get(served.port, "/metrics")).status == 401
        await on_sqlite.until(["before"])
        await trio.sleep(1.2)
        assert "before" in on_sqlite.ids()
        # What is too old goes, though the database is still the one it was.
        moved = before.replace("[store]\n", '[store]\nurl = "sqlite:///other.db"\n')
        file.write_text(moved.replace("requests_days = 0", "requests_days = 0.00001"))
        reply = await post(served.port, "reload")
        assert reply.status == 200, reply.body
        assert reply.json["needs_restart"] == ["store.url"]
        await until(lambda: "before" not in on_sqlite.ids(), "what is too old is gone", PATIENCE)
        file.write_text(moved + '[debug_log]\nmodels = ["m"]\n[metrics]\npublic = true\n')
        assert (await post(served.port, "reload")).json["needs_restart"] == ["store.url"]
        assert (await get(served.port, "/metrics")).status == 200
        await ask("captured")
        await on_sqlite.until(["captured"])
        assert not file.with_name("other.db").exists()
        await until(
            lambda: len(list(file.parent.glob("debug/*/captured.jsonl.gz"))) == 1,
            "a capture",
            PATIENCE,
        )
        assert not list(file.parent.glob("debug/*/before*"))
        # And off again.
        file.write_text(before)
        assert (await post(served.port, "reload")).json["needs_restart"] == []
        await ask("afterwards")
        assert (await get(served.port, "/metrics")).status == 401
    assert not list(file.parent.glob("debug/*/afterwards*"))
