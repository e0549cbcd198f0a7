"""The ASGI application, with a scripted provider behind it and a scripted server in front."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gateway.api.asgi_app import AsgiApp, Runtime
from gateway.api.requests.served_request import Message
from gateway.config.catalog import Catalog, Names
from gateway.config.cors import Cors
from gateway.config.schema import Model
from gateway.config.snapshot import Snapshot
from gateway.core.cache.answers import CachePolicy
from gateway.errors import ConfigError
from gateway.lifecycle import Lifecycle, Phase
from gateway.proxy.cache.response_cache import ResponseCache
from gateway.proxy.protocols import Client
from gateway.proxy.services import Services
from gateway.proxy.traffic.control import TrafficControl
from gateway.state.health import LocalHealth
from gateway.state.limits import MemoryLimits
from tests.proxy.scripts import STALL, Head, Play, ScriptedUpstream, answer, ok
from tests.proxy.world import Records, body, deployment, snapshot_of

from .asgi import Server, piece

Headers = list[tuple[bytes, bytes]]
GENERATED = re.compile(rb"req_[0-9a-f]{32}")
KEYS = {b"sk-all": ("*",), b"sk-some": ("openai/gpt 4o",), b"sk-none": ()}


class Administration:
    """Answers everything, and keeps what it was given."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, bytes | None]] = []

    async def serve(self, scope: Message, client: Client, key: bytes | None) -> None:
        self.asked.append((scope["raw_path"], key))
        await client.reply(200, (), b"for admins")


class Metrics:
    def __init__(self) -> None:
        self.asked: list[str | None] = []

    async def scrape(self, accept: str | None) -> tuple[bytes, bytes]:
        self.asked.append(accept)
        return b"text/plain", b"metric 1"


class App:
    """A gateway that runs for as long as the context manager is open."""

    def __init__(
        self,
        *plays: Play,
        keys: dict[bytes, tuple[str, ...]] | None = None,
        cors: Cors | None = None,
    ) -> None:
        self.upstream = ScriptedUpstream(plays)
        self.records = Records()
        self.lifecycle = Lifecycle()
        snapshot = snapshot_of(deployment("a"), keys=keys)
        served = snapshot.models.get("m")
        assert served is not None
        other = msgspec.structs.replace(served, name="openai/gpt 4o", json_name=b'"openai/gpt 4o"')
        models = {"m": served, other.name: other}
        names = Names([Model(name=name) for name in models])
        self.snapshot: Snapshot = msgspec.structs.replace(
            snapshot, models=Catalog(names, models.__getitem__), cors=cors or Cors()
        )
        self.administration = Administration()
        self.metrics: Metrics | None = Metrics()
        self.gateway = AsgiApp(self.lifecycle, self._start)

    @asynccontextmanager
    async def _start(self) -> AsyncIterator[Runtime]:
        services = Services(
            upstream=self.upstream,
            limits=MemoryLimits(),
            health=LocalHealth(),
            traffic=TrafficControl(self.lifecycle),
            cache=ResponseCache(CachePolicy()),
            recorder=self.records,
            lifecycle=self.lifecycle,
            rng=lambda: 0.5,
        )
        yield Runtime(services, self.snapshot, self.administration, self.metrics)

    async def call(
        self,
        method: str = "POST",
        path: str = "/v1/chat/completions",
        headers: Headers | None = None,
        data: bytes = b"",
        *,
        started: bool = True,
        server: Server | None = None,
    ) -> Server:
        """Send one request to a gateway that has been started."""
        length = [(b"content-length", b"%d" % len(data))] if data else []
        scope = {
            "type": "http",
            "method": method,
            "raw_path": path.encode(),
            "headers": [*(headers or []), *length],
            "client": ("192.0.2.1", 1234),
        }
        server = server or Server((0, piece(data)))
        if not started:
            await self.gateway(scope, server.receive, server.send)
            return server
        async with self.running():
            await self.gateway(scope, server.receive, server.send)
        self.upstream.check()
        assert server.complete
        assert server.headers[b"x-request-id"]
        assert self.lifecycle.in_flight == 0
        return server

    @asynccontextmanager
    async def running(self) -> AsyncIterator[list[Message]]:
        said: list[Message] = []
        stop = trio.Event()
        up = trio.Event()
        first = True

        async def receive() -> Message:
            nonlocal first
            if first:
                first = False
                return {"type": "lifespan.startup"}
            await stop.wait()
            return {"type": "lifespan.shutdown"}

        async def send(message: Message) -> None:
            said.append(message)
            up.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.gateway, {"type": "lifespan"}, receive, send)
            await up.wait()
            yield said
            stop.set()


def bearer(key: bytes) -> Headers:
    return [(b"authorization", b"Bearer " + key)]


# Keys...


@pytest.mark.parametrize(
    "headers",
    [
        bearer(b"sk-all"),
        [(b"authorization", b"bearer  sk-all ")],
        [(b"x-api-key", b"sk-all")],
        [(b"authorization", b"Basic abc"), (b"x-api-key", b"sk-all")],
    ],
)
async def test_a_key_may_come_in_either_header(autojump_clock: MockClock, headers: Headers) -> None:
    app = App(Play("a", answer("yes")), keys=KEYS)
    server = await app.call(headers=headers, data=body(stream=False))
    assert server.status == 200
    assert server.json["choices"][0]["message"]["content"] == "yes"
    (record,) = app.records.all
    assert (record.token, record.client, record.status) == ("tester", "192.0.2.1", 200)
    assert record.request_id.encode() == server.headers[b"x-request-id"]


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ([], "did not provide an API key"),
        (bearer(b""), "did not provide an API key"),
        (bearer(b"sk-wrong"), "incorrect API key"),
        ([(b"x-api-key", b"sk-wrong")], "incorrect API key"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("POST", "/v1/messages")],
)
async def test_who_has_no_key_gets_nothing(
    autojump_clock: MockClock, headers: Headers, says: str, method: str, path: str
) -> None:
    app = App(keys=KEYS)
    server = await app.call(method, path, headers, body() if method == "POST" else b"")
    assert server.status == 401
    assert server.headers[b"www-authenticate"] == b"Bearer"
    error = server.json["error"]
    if path == "/v1/messages" or (
        path == "/v1/models" and headers and headers[0][0] == b"x-api-key"
    ):
        # In the words of the API that the path, or the header, is of.
        assert error["type"] == "authentication_error"
        assert server.json["request_id"].encode() == server.headers[b"request-id"]
    else:
        assert error["code"] == "invalid_api_key"
    assert says in server.json["error"]["message"]
    assert b"sk-wrong" not in server.body
    assert [each.end_reason for each in app.records.all] == ["rejected"] * (method == "POST")


async def test_without_tokens_anyone_may_call(autojump_clock: MockClock) -> None:
    app = App(Play("a", ok()))
    server = await app.call(data=body())
    assert server.status == 200
    assert server.body.endswith(b"data: [DONE]\n\n")
    assert app.records.all[0].token == "anonymous"


async def test_a_model_that_the_key_may_not_use_is_a_403(autojump_clock: MockClock) -> None:
    app = App(keys=KEYS)
    server = await app.call(headers=bearer(b"sk-some"), data=body())
    assert server.status == 403
    assert server.json["error"]["code"] == "model_not_found"
    assert server.json["error"]["param"] == "model"


async def test_an_unknown_model_is_a_404(autojump_clock: MockClock) -> None:
    app = App(keys=KEYS)
    data = body().replace(b'"m"', b'"n"')
    server = await app.call(headers=bearer(b"sk-all"), data=data)
    assert server.status == 404
    assert server.json["error"]["code"] == "model_not_found"
    assert (app.records.all[0].model, app.records.all[0].status) == ("n", 404)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"model":1}', b'{"model":"m","model":"n"}'])
async def test_a_bad_body_is_a_400(autojump_clock: MockClock, data: bytes) -> None:
    server = await App().call(data=data)
    assert server.status == 400
    assert server.json["error"]["type"] == "invalid_request_error"


async def test_a_body_that_never_ends_is_a_408(autojump_clock: MockClock) -> None:
    app = App()
    server = Server((0, piece(b"{", more=True)))
    await app.call(headers=[(b"transfer-encoding", b"chunked")], server=server)
    assert server.status == 408
    assert server.sent[0][0] == 30
    assert server.headers[b"connection"] == b"close"


# Paths...


@pytest.mark.parametrize("prefix", ["", "/v1", "/v1/v1"])
@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_api_is_found_however_the_base_url_is_given(
    autojump_clock: MockClock, prefix: str, slash: str
) -> None:
    app = App(Play("a", ok()))
    chat = await app.call("POST", f"{prefix}/chat/completions{slash}", data=body())
    models = await App().call("GET", f"{prefix}/models{slash}")
    assert (chat.status, models.status) == (200, 200)


async def test_models_are_listed_as_openai_does(autojump_clock: MockClock) -> None:
    server = await App(keys=KEYS).call("GET", "/v1/models", bearer(b"sk-all"))
    entry = {"object": "model", "created": 1_700_000_000, "owned_by": "a"}
    assert server.json == {
        "object": "list",
        "data": [{"id": "m", **entry}, {"id": "openai/gpt 4o", **entry}],
    }


@pytest.mark.parametrize(
    ("key", "names"),
    [(b"sk-all", ["m", "openai/gpt 4o"]), (b"sk-some", ["openai/gpt 4o"]), (b"sk-none", [])],
)
async def test_only_models_that_the_key_may_use_are_listed(
    autojump_clock: MockClock, key: bytes, names: list[str]
) -> None:
    server = await App(keys=KEYS).call("GET", "/v1/models", bearer(key))
    assert [each["id"] for each in server.json["data"]] == names


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/openai/gpt%204o",
        "/v1/models/openai%2Fgpt%204o",
        "/models/openai/gpt%204o",
    ],
)
async def test_model_names_hold_slashes(autojump_clock: MockClock, path: str) -> None:
    server = await App(keys=KEYS).call("GET", path, bearer(b"sk-some"))
    assert server.status == 200
    assert server.json["id"] == "openai/gpt 4o"


@pytest.mark.parametrize("name", ["m", "unknown", "%ff"])
async def test_a_model_that_is_not_theirs_is_not_there(
    autojump_clock: MockClock, name: str
) -> None:
    server = await App(keys=KEYS).call("GET", f"/v1/models/{name}", bearer(b"sk-some"))
    assert server.status == 404
    assert server.json["error"]["code"] == "model_not_found"


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/threads", "/v3/models", "/%ff", "//"])
async def test_what_is_not_there_is_a_404_in_json(autojump_clock: MockClock, path: str) -> None:
    server = await App().call("GET", path)
    assert server.status == 404
    assert server.headers[b"content-type"] == b"application/json"
    assert server.json["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/chat/completions", b"POST"),
        ("HEAD", "/v1/chat/completions", b"POST"),
        ("POST", "/v1/models", b"GET, HEAD"),
        ("DELETE", "/v1/models/m", b"GET, HEAD"),
        ("POST", "/health/live", b"GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_a_405_that_says_the_right_one(
    autojump_clock: MockClock, method: str, path: str, allow: bytes
) -> None:
    server = await App().call(method, path)
    assert server.status == 405
    assert server.headers[b"allow"] == allow
    assert server.json["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/v1/models"])
async def test_head_is_as_good_as_get(autojump_clock: MockClock, path: str) -> None:
    # The server leaves the body out; its length stays.
    got, headed = await App().call("GET", path), await App().call("HEAD", path)
    assert headed.status == 200
    assert headed.headers[b"content-length"] == got.headers[b"content-length"]


# Life...


async def test_health_follows_the_lifecycle(autojump_clock: MockClock) -> None:
    app = App(keys=KEYS)
    server = await app.call("GET", "/health/ready")
    assert (server.status, server.json) == (200, {"status": "ready"})
    assert b"connection" not in server.headers
    app.lifecycle.start_drain()
    ready = await app.call("GET", "/health/ready")
    assert (ready.status, ready.json) == (503, {"status": "draining"})
    assert ready.headers[b"retry-after"] == b"1"
    assert ready.headers[b"connection"] == b"close"
    live = await app.call("GET", "/health/live")
    assert (live.status, live.json) == (200, {"status": "ok"})


async def test_a_drain_still_serves(autojump_clock: MockClock) -> None:
    app = App(Play("a", ok()))
    app.lifecycle.start_drain()
    server = await app.call(data=body())
    assert server.status == 200
    assert server.headers[b"connection"] == b"close"


async def test_before_the_start_there_is_only_a_503(autojump_clock: MockClock) -> None:
    server = await App().call(data=body(), started=False)
    assert server.status == 503
    assert server.json["error"]["code"] == "server_shutting_down"
    assert server.headers[b"retry-after"] == b"1"


async def test_the_lifespan_starts_and_stops(autojump_clock: MockClock) -> None:
    app = App()
    async with app.running() as said:
        assert app.lifecycle.phase is Phase.RUNNING
        assert said == [{"type": "lifespan.startup.complete"}]
    assert said[1:] == [{"type": "lifespan.shutdown.complete"}]
    server = await app.call(data=body(), started=False)
    assert server.status == 503


@pytest.mark.parametrize(
    "error",
    [
        ConfigError(["config.toml: [server] is odd", "and [log] too"]),
        # As it comes out of a nursery.
        ExceptionGroup("", [ConfigError(["config.toml: [server] is odd", "and [log] too"])]),
    ],
    ids=["plain", "group"],
)
async def test_a_start_that_fails_says_why(autojump_clock: MockClock, error: Exception) -> None:
    said = await _failing_start(error)
    message = "config.toml: [server] is odd\nand [log] too"
    assert said == [{"type": "lifespan.startup.failed", "message": message}]


async def test_a_start_that_fails_for_another_reason_fails_too(autojump_clock: MockClock) -> None:
    # Hypercorn goes on without a lifespan when it is told of no failure, and nothing would work.
    said = await _failing_start(OSError("no such socket"))
    assert [each["type"] for each in said] == ["lifespan.startup.failed"]
    assert "no such socket" in said[0]["message"]


def test_a_server_that_is_not_on_trio_is_told_so() -> None:
    # In a thread of its own: tests in a browser may have left a loop running in this one.
    start = _failing_start(AssertionError("it was never started"))
    with ThreadPoolExecutor(1) as pool:
        said = pool.submit(asyncio.run, start).result()
    assert [each["type"] for each in said] == ["lifespan.startup.failed"]
    assert "hypercorn -k trio" in said[0]["message"]


class FailingStart(AbstractAsyncContextManager[Runtime]):
    def __init__(self, error: Exception) -> None:
        self._error = error

    async def __aenter__(self) -> Runtime:
        raise self._error

    async def __aexit__(self, *exc_info: object) -> None:
        raise AssertionError("it was never entered")


async def _failing_start(error: Exception) -> list[Message]:
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        said.append(message)

    await AsgiApp(Lifecycle(), lambda: FailingStart(error))({"type": "lifespan"}, receive, send)
    return said


async def test_a_websocket_is_closed_cleanly(autojump_clock: MockClock) -> None:
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        said.append(message)

    scope: Message = {"type": "websocket", "headers": [], "raw_path": b"/v1/nothing"}
    await App().gateway(scope, receive, send)
    assert said == [{"type": "websocket.close", "code": 1000}]
    # Where the server can answer the opening, it says why.
    said.clear()
    scope["extensions"] = {"websocket.http.response": {}}
    await App().gateway(scope, receive, send)
    assert [each["type"].rpartition(".")[2] for each in said] == ["start", "body"]
    # The gateway is not started here.
    assert said[0]["status"] == 503


# Request ids...


@pytest.mark.parametrize(
    ("method", "path", "data", "status"),
    [
        ("GET", "/health/live", b"", 200),
        ("GET", "/nowhere", b"", 404),
        ("PUT", "/v1/models", b"", 405),
        ("POST", "/v1/chat/completions", b"{", 400),
    ],
)
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b"req-42:a/b@c=d+e.f_g", True),
        (b"x" * 128, True),
        (b"x" * 129, False),
        (b"", False),
        (b"two words", False),
        (b'"quoted"', False),
        (b"caf\xe9", False),
        (None, False),
    ],
)
async def test_every_answer_has_a_request_id(
    autojump_clock: MockClock,
    method: str,
    path: str,
    data: bytes,
    status: int,
    given: bytes | None,
    *,
    kept: bool,
) -> None:
    headers = [] if given is None else [(b"x-request-id", given)]
    server = await App().call(method, path, headers, data)
    assert server.status == status
    identity = server.headers[b"x-request-id"]
    assert identity == given if kept else GENERATED.fullmatch(identity)


async def test_a_stream_has_a_request_id_too(autojump_clock: MockClock) -> None:
    app = App(Play("a", ok()))
    server = await app.call(headers=[(b"x-request-id", b"mine")], data=body())
    assert server.headers[b"x-request-id"] == b"mine"
    assert app.records.all[0].request_id == "mine"
    assert (b"x-client-request-id", b"mine") in app.upstream.calls[0][1].headers


# Callers who read nothing...


@pytest.mark.parametrize(
    ("path", "data"), [("/health/live", b""), ("/nowhere", b""), ("/v1/chat/completions", b"{")]
)
async def test_a_caller_who_reads_nothing_does_no_harm(
    autojump_clock: MockClock, path: str, data: bytes
) -> None:
    app = App()
    server = Server((0, piece(data)), stalls=1)
    method = "POST" if data else "GET"
    scope = {"type": "http", "method": method, "raw_path": path.encode(), "headers": []}
    async with app.running():
        await app.gateway(scope, server.receive, server.send)
    assert len(server.sent) == 1


async def test_the_callers_own_time_limit_comes_with_a_header(autojump_clock: MockClock) -> None:
    app = App(Play("a", [(0, Head()), (0, STALL)]))
    server = await app.call(headers=[(b"x-request-timeout-ms", b"2500")], data=body())
    assert (server.status, server.sent[0][0]) == (504, 2.5)
    assert app.records.all[0].end_reason == "total_timeout"


async def test_an_odd_time_limit_is_a_400_and_on_record(autojump_clock: MockClock) -> None:
    app = App()
    server = await app.call(headers=[(b"x-request-timeout-ms", b"soon")], data=body())
    assert server.status == 400
    assert "x-request-timeout-ms" in server.json["error"]["message"]
    assert app.records.all[0].end_reason == "rejected"


PAGE = (b"origin", b"https://chat.example.com")


async def test_a_page_may_call_where_its_origin_is_allowed(autojump_clock: MockClock) -> None:
    cors = Cors(allow_origins=("https://chat.example.com",))
    asked = [PAGE, (b"access-control-request-method", b"POST")]
    server = await App(cors=cors).call(method="OPTIONS", headers=asked)
    assert (server.status, server.body) == (200, b"")
    assert server.headers[b"access-control-allow-origin"] == PAGE[1]
    assert server.headers[b"access-control-allow-methods"] == b"GET, POST"
    server = await App(Play("a", ok()), cors=cors).call(headers=[PAGE], data=body())
    assert server.status == 200
    assert server.headers[b"access-control-allow-origin"] == PAGE[1]
    # Errors, too: a page must be able to read them.
    server = await App(cors=cors).call(path="/nowhere", headers=[PAGE])
    assert (server.status, server.headers[b"access-control-allow-origin"]) == (404, PAGE[1])


async def test_a_page_of_another_origin_may_not(autojump_clock: MockClock) -> None:
    app = App(cors=Cors(allow_origins=("https://other.example",)))
    asked = [PAGE, (b"access-control-request-method", b"POST")]
    server = await app.call(method="OPTIONS", headers=asked)
    assert server.status == 403
    assert b"access-control-allow-origin" not in server.headers


async def test_without_cors_options_is_what_it_was(autojump_clock: MockClock) -> None:
    asked = [PAGE, (b"access-control-request-method", b"POST")]
    server = await App().call(method="OPTIONS", headers=asked)
    assert server.status == 405
    assert not [name for name in server.headers if name.startswith(b"access-control")]


# What is for administrators...


@pytest.mark.parametrize("path", ["/admin/api/status", "/%61dmin/api/status", "/admin/"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_pages_that_may_chat_may_not_administer(method: str, path: str) -> None:
    app = App(cors=Cors(allow_origins=("*",)))
    origin = (b"origin", b"https://chat.example.com")
    key = (b"authorization", b"Bearer admin-key")
    server = await app.call(method, path, [origin, key])
    assert (server.status, server.body) == (200, b"for admins")
    assert app.administration.asked == [(path.encode(), b"admin-key")]
    assert not [name for name in server.headers if name.startswith(b"access-control-")]
    # Whereas elsewhere they are let in.
    allowed = await app.call(method, "/v1/models", [origin])
    assert allowed.headers[b"access-control-allow-origin"] == b"*"


@pytest.mark.parametrize(
    ("keys", "admins", "public", "key", "status"),
    [
        (None, False, False, None, 200),  # nobody needs a key for anything
        (None, True, False, None, 401),
        (KEYS, False, False, None, 401),
        (KEYS, False, False, b"sk-all", 401),
        (KEYS, True, False, b"sk-all", 401),
        (KEYS, True, False, b"admin-key", 200),
        (KEYS, True, True, None, 200),
    ],
)
async def test_who_may_see_metrics(
    keys: dict[bytes, tuple[str, ...]] | None,
    admins: bool,
    public: bool,
    key: bytes | None,
    status: int,
) -> None:
    app = App(keys=keys)
    app.snapshot = msgspec.structs.replace(
        app.snapshot,
        admins={hashlib.sha256(b"admin-key").digest(): "root"} if admins else {},
        metrics_public=public,
    )
    given = [] if key is None else [(b"authorization", b"Bearer " + key)]
    server = await app.call("GET", "/metrics", [*given, (b"accept", b"text/plain")])
    assert server.status == status
    assert app.metrics is not None
    assert app.metrics.asked == (["text/plain"] if status == 200 else [])


async def test_metrics_that_are_off_are_not_there() -> None:
    app = App()
    app.metrics = None
    server = await app.call("GET", "/metrics")
    assert (server.status, server.json["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("upgrade", [b"websocket", b"WebSocket"])
async def test_a_websocket_is_refused_so_that_its_client_sends_a_post(upgrade: bytes) -> None:
    app = App()
    server = await app.call("GET", "/v1/responses", [(b"upgrade", upgrade)])
    assert server.status == 426
    assert server.headers[b"upgrade"] == b"HTTP/1.1"
    assert server.json["error"]["code"] == "upgrade_required"


async def test_what_asks_for_another_protocol_gets_http() -> None:
    app = App()
    server = await app.call("GET", "/v1/models", [(b"upgrade", b"websocket")])
    assert server.status == 200
    server = await app.call("GET", "/v1/responses", [(b"upgrade", b"h2c")])
    assert (server.status, server.headers[b"allow"]) == (405, b"POST")


async def test_what_is_not_served_is_counted() -> None:
    app = App()
    async with app.running():
        for method, path in (
            ("POST", "/v1/threads"),
            ("GET", "/v1/chat/completions"),
            ("GET", "/.env"),
            ("GET", "/v1/models/nope"),
        ):
            scope = {"type": "http", "method": method, "raw_path": path.encode(), "headers": []}
            server = Server((0, piece(b"")))
            await app.gateway(scope, server.receive, server.send)
            assert server.status in (404, 405)
        running = app.gateway._running
        assert running is not None
        assert dict(running.services.unserved.counts) == {
            ("POST", "/threads", "404"): 1,
            ("GET", "/chat", "405"): 1,
            # A model that is not there is another matter.
            ("GET", "other", "404"): 1,
        }


async def test_who_comes_to_the_first_page_hears_where_people_go() -> None:
    server = await App().call(path="/", method="GET")
    assert server.status == 404
    assert b"for people there is /admin/" in server.body
