"""Metrics, traces and the debug log of real gateways; and that no key is in any of it."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from gateway.store.engine.schema import metadata

from ..postgres import PostgresServer
from ..telemetry.otlp import Receiver
from .caller import Reply, calling, generations, get
from .harness import GATEWAY, PATIENCE, Served, children, config, spawned
from .provider import Asked, serving, speaking, until
from .store import ADMIN, ADMINS, Kept, admin, demo, eventually, gateway_command, kept, loading
from .wire import RESET, Script, broken, completion, failure, streamed, whole, words

pytestmark = pytest.mark.slow

Write = Callable[[str], Path]

PUBLIC: Final = "[metrics]\npublic = true\n"
WORKERS: Final = 3
CALLERS: Final = 6

pq: Any = pytest.importorskip("pyarrow.parquet")


@asynccontextmanager
async def gateway(file: Path, *options: str) -> AsyncIterator[Served]:
    async with spawned((*GATEWAY, *options), file) as served:
        yield served
        served.terminate()
        assert await served.exit_status() == 0
    assert b"Traceback" not in served.said, served.said.decode()


async def call(port: int, request_id: str, **more: Any) -> Reply:
    async with calling(port) as caller:
        await caller.ask(request_id=request_id, **more)
        return await caller.reply()


# Metrics of several workers...


async def counted(port: int, name: str) -> float:
    """Return the sum of all series of a metric, as one of the workers shows them."""
    reply = await get(port, "/metrics")
    assert reply.status == 200, reply.body
    return sum(
        sample.value
        for family in text_string_to_metric_families(reply.body.decode())
        for sample in family.samples
        if sample.name == name
    )


async def test_workers_keep_and_count_together(on_sqlite: Kept, write: Write) -> None:
    file = write(demo(more=PUBLIC))
    async with gateway(file, "--workers", str(WORKERS)) as served:
        workers = children(served.pid)
        with trio.fail_after(PATIENCE):
            answering: set[int] = set()
            while answering != set(workers):
                answering |= (await generations(served.port, ADMIN)).keys()
                workers = children(served.pid)

        async def shows(expected: int) -> None:
            async def is_shown() -> bool:
                return await counted(served.port, "gateway_requests_total") == expected

            await eventually(is_shown, f"{expected} requests")
            # Whichever worker is asked, each on a connection of its own.
            for _ in range(4 * WORKERS):
                assert await counted(served.port, "gateway_requests_total") == expected

        asked = [f"first-{number}" for number in range(40)]
        for each in asked:
            assert (await call(served.port, each)).status == 200
        await shows(len(asked))
        assert sorted(await on_sqlite.until(asked)) == sorted(asked)
        # Of a dead worker all that it had counted stays.
        os.kill(workers[0], signal.SIGKILL)
        await until(lambda: workers[0] not in children(served.pid), "a dead worker", PATIENCE)
        await shows(len(asked))

        seen = [float(len(asked))]
        async with loading(served.port, name="load", callers=CALLERS, pace=0.2) as load:
            for number in range(12):
                if number == 4:
                    await trio.sleep(0.5)
                    os.kill(workers[1], signal.SIGKILL)
                seen.append(await counted(served.port, "gateway_requests_total"))
                await trio.sleep(0.05)
        assert seen == sorted(seen)
        last = await counted(served.port, "gateway_requests_total")
        made = len(load.answered) + len(load.failed)
        # Each caller may have had an answer that the dead one had no time to count.
        counted_at_least = len(asked) + len(load.answered) - CALLERS
        assert counted_at_least <= last <= len(asked) + made

        async def are_all_there() -> bool:
            return await counted(served.port, "gateway_workers") == WORKERS

        await eventually(are_all_there, "all workers")
    found = on_sqlite.ids()
    assert len(found) == len(set(found))
    # What the killed one had in memory is all that may be missing.
    assert len(set(load.answered).difference(found)) <= 10 * CALLERS
    on_sqlite.check_rollups()


# Traces...


async def test_spans_of_requests_and_attempts(on_sqlite: Kept, write: Write) -> None:
    trace, caller_span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    parent = [("traceparent", f"00-{trace}-{caller_span}-01")]
    async with serving([(0.0, failure(503))]) as bad, serving(speaking) as good:
        with Receiver() as receiver:
            text = config(
                *(bad.port, good.port),
                server="drain_delay = 0",
                retry="per_target = 0\nbase = 0.01",
                store=on_sqlite.store,
                tokens=f'[tracing]\nendpoint = "{receiver.endpoint}"\n',
            )
            async with gateway(write(text)) as served:
                assert (await call(served.port, "traced", headers=parent)).status == 200
                assert (await call(served.port, "begun-here", stream=True)).status == 200
                await until(lambda: len(receiver.spans) >= 6, "six spans", PATIENCE)
    assert len(receiver.spans) == 6
    of_trace = [span for span in receiver.spans if span.trace_id == trace]
    (request,) = [span for span in of_trace if span.kind == "server"]
    attempts = sorted((s for s in of_trace if s.kind == "client"), key=lambda span: span.start)
    assert request.parent_id == caller_span
    assert request.remote_parent
    assert request.attributes["gateway.request_id"] == "traced"
    assert request.attributes["gateway.attempts"] == 2
    assert [span.parent_id for span in attempts] == [request.span_id] * 2
    assert [span.status for span in attempts] == ["error", "unset"]
    assert request.start <= attempts[0].start <= attempts[0].end <= attempts[1].end <= request.end
    for provider, span in zip((bad, good), attempts, strict=True):
        assert provider.asked[0].headers["traceparent"] == f"00-{trace}-{span.span_id}-01"
    (other,) = {span.trace_id for span in receiver.spans} - {trace}
    assert (await on_sqlite.of("traced"))["trace_id"] == trace
    assert (await on_sqlite.of("begun-here"))["trace_id"] == other


# The debug log...


async def test_captures_are_shown_and_sent_again(write: Write) -> None:
    def answer(asked: Asked) -> Script:
        if asked.json["messages"][0]["content"] == "fail":
            return [(0.0, failure(400, "no such option"))]
        return speaking(asked)

    key = "sk-of-the-caller-123"
    async with serving(answer) as provider:
        text = config(
            provider.port,
            server="drain_delay = 0",
            store='url = "sqlite:///gateway.db"',
            tokens=f'[[tokens]]\nname = "alice"\nkey = "{key}"\n[debug_log]\ntokens = ["alice"]\n',
        )
        file = write(text)
        async with gateway(file) as served:
            say = [{"role": "user", "content": "say hello"}]
            fail = [{"role": "user", "content": "fail"}]
            assert (await call(served.port, "a/../b", key=key, stream=True, messages=say)).complete
            assert (await call(served.port, "failed", key=key, messages=fail)).status == 400
            await until(
                lambda: len(list(file.parent.glob("debug/*/*.jsonl.gz"))) == 2, "captures", PATIENCE
            )
            for place in file.parent.glob("debug/**/*"):
                assert place.stat().st_mode & 0o077 == 0
            shown = await gateway_command(file, "debug", "show", "a/../b")
            assert shown.returncode == 0, shown.stderr
            for part in ("say hello", "Hello", "[DONE]", " ms", "alice"):
                assert part in shown.stdout
            as_json = await gateway_command(file, "debug", "show", "failed", "--json")
            (failed,) = json.loads(as_json.stdout)
            assert failed["answer"]["status"] == 400
            assert failed["end"]["record"]["end_reason"] == "provider_rejected"
            for said in (shown, as_json):
                assert key not in said.stdout
                assert "sk-provider" not in said.stdout
            url = f"http://127.0.0.1:{served.port}"
            env = {"GATEWAY_API_KEY": key}
            again = await gateway_command(file, "debug", "replay", "a/../b", "--url", url, env=env)
            assert again.returncode == 0, again.stderr
            assert again.stdout.endswith("data: [DONE]\n\n")
            assert provider.asked[2].json["messages"] == say
            failing = await gateway_command(
                file, "debug", "replay", "failed", "--url", url, env=env
            )
            assert failing.returncode == 1
            assert "no such option" in failing.stdout
            missing = await gateway_command(file, "debug", "show", "../../config")
            assert missing.returncode == 1
    with kept("sqlite:///gateway.db", file.parent) as found:
        done = {(row["action"], row["target"]) for row in found.rows(metadata.tables["audit"])}
    assert {("capture_viewed", "a/../b"), ("capture_replayed", "failed")} <= done


# Secrets...

CANARIES: Final = {
    "caller": "sk-canary-caller-0001",
    "wrong": "sk-canary-wrong-0002",
    "provider": "sk-canary-provider-0003",
    "admin": "sk-canary-admin-0004",
    "header": "canary-header-value-0005",
    "password": "canary-password-0006",
    "collector": "canary-collector-0007",
}
PROMPT, ANSWER = "canary-prompt-0008", "canary-answer-0009"
# Of messages and answers: what the debug log is told not to keep.
REDACTED: Final = (
    'redact = ["messages[*].content", "choices[*].message.content", "choices[*].delta.content"]'
)


def leaky(asked: Asked) -> Script:
    """Answer, or fail, with what a provider should keep to itself."""
    key = asked.headers["authorization"].removeprefix("Bearer ")
    said = f"Incorrect API key provided: {key}, x-account-key: {asked.headers['x-account-key']}"
    # In words that do not mean a key, whatever the status is.
    other = said.replace("Incorrect API key provided", "Unknown parameter")
    match asked.json["messages"][0]["content"].split()[-1]:
        case "401":
            return [(0.0, failure(401, said, code="invalid_api_key"))]
        case "400":
            return [(0.0, failure(400, other))]
        case "500":
            return [(0.0, failure(500, said))]
        case "html":
            return [(0.0, whole(502, said.encode(), kind="text/html"))]
        case "break":
            return broken(words(ANSWER)[:2], RESET)
        case "event":
            error = json.dumps({"error": {"message": other, "type": "oops"}}).encode()
            return streamed([*words(ANSWER)[:2], b"data: " + error + b"\n\n"])
    if asked.json.get("stream"):
        return streamed(words(ANSWER[:9], ANSWER[9:], ANSWER, usage=asked.wants_usage))
    return [(0.0, whole(200, completion(ANSWER)))]


class Sinks:
    """Everything that was written down or shown, by where."""

    def __init__(self) -> None:
        self._found: dict[str, bytes] = {}

    def add(self, where: str, data: bytes | bytearray | str) -> None:
        assert data, f"{where} is empty"
        self._found[where] = data.encode() if isinstance(data, str) else bytes(data)

    def add_folder(self, folder: Path, *, but: Iterable[str] = ()) -> None:
        """Add all files but those that hold the configuration itself."""
        for file in folder.rglob("*"):
            if file.is_file() and file.name not in but and file.stat().st_size:
                data = file.read_bytes()
                self.add(
                    str(file.relative_to(folder)),
                    gzip.decompress(data) if file.suffix == ".gz" else data,
                )

    def with_any(self, texts: Iterable[str]) -> list[tuple[str, str]]:
        """Return where which of the texts is."""
        return sorted(
            (where, text)
            for where, data in self._found.items()
            for text in texts
            if text.encode() in data
        )

    def __contains__(self, where: str) -> bool:
        return any(each.startswith(where) for each in self._found)


# The last words of prompts, and names of models: each has a breaker of its own then.
WORDS: Final = ("answer", "400", "401", "500", "html", "break", "event")


async def make_traffic(served: Served, name: str) -> bytes:
    """Make requests that go well, and fail, in every way in which somebody quotes a key.

    Returns what was answered.
    """
    answered = []
    for word in WORDS:
        for stream in (False, True):
            said = [{"role": "user", "content": f"{PROMPT} {word}"}]
            reply = await call(
                served.port,
                f"{name}-{word}-{stream}",
                key=CANARIES["caller"],
                stream=stream,
                messages=said,
                model=word,
            )
            answered.append(reply.body)
    wrong = (("authorization", f"Bearer {CANARIES['wrong']}"), ("x-api-key", CANARIES["wrong"]))
    answered += [(await call(served.port, "wrong", headers=[each])).body for each in wrong]
    return b"".join(answered)


async def look_around(served: Served, file: Path, sinks: Sinks) -> None:
    """Add what is shown to admins and operators."""
    key = CANARIES["admin"]
    assert (await get(served.port, "/admin/api/status", key=CANARIES["wrong"])).status == 401
    query = f"key={CANARIES['wrong']}&api_key={CANARIES['wrong']}"
    assert (await get(served.port, f"/admin/api/status?{query}")).status == 401
    sinks.add("metrics", (await get(served.port, "/metrics", key=key)).body)
    for path in (
        "requests",
        "requests/first-400-True",
        "debug/first-answer-True",
        "audit",
        "usage",
        "costs",
    ):
        sinks.add(f"admin/{path}", json.dumps(await admin(served.port, path, key)))
    for path in ("health", "stats", "status"):
        sinks.add(f"admin/{path}", json.dumps(await admin(served.port, path, key)))
    for kind in ("requests", "audit", "usage"):
        for form in ("csv", "jsonl"):
            where = f"export/{kind}?format={form}"
            sinks.add(where, (await get(served.port, f"/admin/api/{where}", key=key)).body)
        reply = await get(served.port, f"/admin/api/export/{kind}?format=parquet", key=key)
        table = pq.read_table(io.BytesIO(reply.body))
        sinks.add(f"export/{kind}.parquet", repr(table.to_pylist()))
    for command in (("audit", "list", "--json"), ("export", "requests"), ("debug", "list")):
        done = await gateway_command(file, *command)
        assert done.returncode == 0, done.stderr
        sinks.add(" ".join(command), done.stdout)
        sinks.add(f"{' '.join(command)} stderr", done.stderr or "-")


async def test_no_key_is_written_or_shown_anywhere(
    on_record: Kept, postgres: PostgresServer, write: Write
) -> None:
    database = on_record.database
    is_file = database.dialect == "sqlite"
    store = on_record.store.replace("postgres@", f"postgres:{CANARIES['password']}@")
    models = "".join(
        f'[[models]]\nname = "{word}"\nroutes = [{{ provider = "{provider}", model = "{word}" }}]\n'
        for word, provider in zip(WORDS, ("p0", "p0", "p1", *["p0"] * 4), strict=True)
    )
    sinks = Sinks()
    async with serving(leaky) as provider:
        with Receiver() as receiver:
            text = config(
                # The second, for whose key there is no use any more after its refusal.
                *(provider.port, provider.port),
                server="drain_delay = 0",
                retry="max_attempts = 1",
                provider=f'headers = {{ x-account-key = "{CANARIES["header"]}" }}',
                store=store,
                models=models,
                tokens=(
                    f'[[tokens]]\nname = "alice"\nkey = "{CANARIES["caller"]}"\n'
                    f"{ADMINS.replace(ADMIN, CANARIES['admin'])}"
                    f'[log]\nlevel = "debug"\n[debug_log]\nsample = 1\n{REDACTED}\n'
                    f'[tracing]\nendpoint = "{receiver.endpoint}"\n'
                    f'headers = {{ authorization = "Bearer {CANARIES["collector"]}" }}\n'
                ),
            ).replace("sk-provider", CANARIES["provider"])
            file = write(text)
            async with gateway(file) as served:
                answers = await make_traffic(served, "first")
                # Once more while the database is away, so that there is a journal.
                journal = file.parent / "gateway.journal"
                async with away(on_record, postgres, file):
                    await make_traffic(served, "second")
                    await until(lambda: bool(list(journal.iterdir())), "a journal", PATIENCE)
                    sinks.add_folder(journal)
                assert ".journal" in " ".join(sinks._found)
                await on_record.until([f"second-event-{stream}" for stream in (False, True)])
                captured = "debug/*/second-event-True*"
                await until(lambda: bool(list(file.parent.glob(captured))), "captures", PATIENCE)
                # What is wrong with a file is told, but not what stands in the wrong place.
                wrong = f'[[tokens]]\nrpm = "{CANARIES["caller"]}"\n'
                file.write_text(text.replace("[[tokens]]\n", wrong))
                checked = await gateway_command(file, "reload")
                assert checked.returncode == 1
                sinks.add("reload", checked.stderr)
                os.kill(served.pid, signal.SIGHUP)
                await until(lambda: b"not reloaded" in served.said, "a failed reload", PATIENCE)
                file.write_text(text)
                await look_around(served, file, sinks)
                if is_file:
                    # With its journals, as they are while it runs.
                    sinks.add_folder(file.parent, but=("config.toml",))
    sinks.add("stdout", served.lines)
    sinks.add("stderr", served.said)
    sinks.add("spans", b"".join(receiver.bodies))
    sinks.add_folder(file.parent, but=("config.toml",))
    for table in metadata.sorted_tables:
        sinks.add(f"table {table.name}", repr(on_record.rows(table)) + " ")
    assert "debug/" in sinks
    # The failures are on record, with what can be told of them.
    ends = {row["request_id"]: row["end_reason"] for row in on_record.rows()}
    for name in ("first", "second"):
        assert [ends[f"{name}-{word}-True"] for word in WORDS] == [
            *("complete", "provider_rejected", "providers_failed", "providers_failed"),
            *("providers_failed", "upstream_broke", "upstream_broke"),
        ]
    assert {asked.json["model"] for asked in provider.asked} == set(WORDS)
    assert sinks.with_any(CANARIES.values()) == []
    assert sinks.with_any([PROMPT, ANSWER]) == []
    # Nor do callers see the gateway's keys, whoever quotes them.
    assert b"Unknown parameter: ***, x-account-key: ***" in answers
    sinks.add("answers", answers)
    assert sinks.with_any(CANARIES.values()) == []


@asynccontextmanager
async def away(on_record: Kept, postgres: PostgresServer, file: Path) -> AsyncIterator[None]:
    """Let the database be of no use for as long as this is entered."""
    if on_record.database.dialect == "postgresql":
        await trio.to_thread.run_sync(postgres.kill)
        try:
            yield
        finally:
            await trio.to_thread.run_sync(postgres.start)
        return
    path = file.with_name("gateway.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


async def test_prompts_and_answers_are_in_the_debug_log_only(on_sqlite: Kept, write: Write) -> None:
    async with serving(leaky) as provider:
        with Receiver() as receiver:
            text = config(
                provider.port,
                server="drain_delay = 0",
                store=on_sqlite.store,
                provider=f'headers = {{ x-account-key = "{CANARIES["header"]}" }}',
                models='cache = { ttl = 60 }\n[debug_log]\nmodels = ["m"]\n'
                f'[tracing]\nendpoint = "{receiver.endpoint}"\n[log]\nlevel = "debug"\n',
            )
            file = write(text)
            said = [{"role": "user", "content": PROMPT}]
            async with gateway(file) as served:
                for number in range(4):
                    await call(served.port, f"r{number}", stream=number > 1, messages=said)
                await on_sqlite.until([f"r{number}" for number in range(4)])
                await until(
                    lambda: len(list(file.parent.glob("debug/*/*.gz"))) == 4, "captures", PATIENCE
                )
    sinks = Sinks()
    sinks.add("stdout", served.lines)
    sinks.add("stderr", served.said)
    sinks.add("spans", b"".join(receiver.bodies))
    sinks.add_folder(file.parent, but=("config.toml",))
    found = sinks.with_any([PROMPT, ANSWER])
    assert len(found) == 8
    assert all(where.startswith("debug/") for where, _ in found)
