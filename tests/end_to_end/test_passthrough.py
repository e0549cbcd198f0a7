"""`/passthrough`: any method and path of a provider, bytes both ways, for keys that may."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Final

import pytest
import trio

from gateway.core.capture.transcript import PASSED_ON
from gateway.core.records.record import EndReason

from .caller import Caller, ask, calling
from .harness import InProcess, config, in_process
from .provider import until
from .streaming_provider import StreamingProvider, Visit, providing
from .test_media import kept
from .wire import completion

pytestmark = pytest.mark.slow

TOKENS: Final = """
[[tokens]]
name = "may"
key = "sk-may-do-it"
passthrough = ["p0"]
[[tokens]]
name = "limited"
key = "sk-limited-one"
passthrough = ["*"]
max_concurrent = 1
budget = { usd = 1 }
[[tokens]]
name = "may-not"
key = "sk-may-not-do"
"""
MAY, LIMITED, MAY_NOT = "sk-may-do-it", "sk-limited-one", "sk-may-not-do"
USAGE: Final = {"prompt_tokens": 1000, "completion_tokens": 500}
MIB: Final = 1024 * 1024
LARGE: Final = 200 * MIB
PIECE: Final = bytes(range(256)) * 256


def text(provider: StreamingProvider, server: str = "") -> str:
    return config(provider.port, tokens=TOKENS, server=server)


async def test_every_method_and_query_reach_the_provider_and_keys_do_not() -> None:
    async def answer(visit: Visit) -> None:
        await visit.read()
        asked = {"method": visit.method, "target": visit.target, "body": visit.body.decode()}
        await visit.reply(
            200,
            b"" if visit.method == "HEAD" else json.dumps(asked).encode(),
            set_cookie="a=b",
            x_request_id="theirs",
            etag='"1"',
        )

    async with providing(answer) as provider, in_process(text(provider)) as gateway:
        async with calling(gateway.port) as caller:
            for method in ("GET", "DELETE", "PUT", "PATCH", "POST", "QUERY", "HEAD"):
                await caller.begin(
                    2,
                    key=MAY,
                    target=f"/passthrough/p0/v1/x%2Fy/z?a=%20b&key={MAY}&c",
                    method=method,
                    headers=(
                        ("content-type", "text/plain"),
                        ("x-api-key", MAY),
                        ("cookie", "c=d"),
                        ("x-gateway-hop", "0123456789abcdef"),
                        ("if-none-match", '"2"'),
                    ),
                )
                await caller.send(b"hi", end=True)
                reply = await caller.reply()
                assert reply.status == 200
                if method != "HEAD":
                    assert reply.json == {
                        "method": method,
                        "target": "/v1/x%2Fy/z?a=%20b&c",
                        "body": "hi",
                    }
                assert "set-cookie" not in reply.headers
                assert reply.headers["etag"] == '"1"'
                assert reply.headers["x-provider-request-id"] == "theirs"
                assert reply.headers["content-security-policy"].startswith("sandbox")
        records = [await gateway.record(number) for number in range(1, 8)]
    for visit in provider.visits:
        sent = visit.headers
        assert sent["authorization"] == "Bearer sk-provider"
        assert sent["content-type"] == "text/plain"
        assert sent["if-none-match"] == '"2"'
        assert "cookie" not in sent
        assert "x-api-key" not in sent
        # This gateway's own, behind those that the request has passed.
        assert sent["x-gateway-hop"].count("0123456789abcdef") == 1
        assert MAY not in repr(sent) + visit.target
    assert {record.operation for record in records} == {"passthrough"}
    assert {record.provider for record in records} == {"p0"}
    # What it costs is not known, and so not nothing.
    assert {record.cost_nano_usd for record in records} == {None}
    assert {record.end_reason for record in records} == {EndReason.COMPLETE}


async def test_refusals_of_the_gateway() -> None:
    async def answer(visit: Visit) -> None:
        await visit.reply(200, b"{}")

    async with providing(answer) as provider, in_process(text(provider)) as gateway:
        cases = [
            (MAY_NOT, "/passthrough/p0/v1/models", 403, "passthrough_not_allowed"),
            (MAY, "/passthrough/p1/v1/models", 403, "passthrough_not_allowed"),
            (LIMITED, "/passthrough/nobody/v1/models", 403, "passthrough_not_allowed"),
            (MAY, "/passthrough/p0/v1/../../admin", 400, "invalid_request"),
            (MAY, "/passthrough/p0/v1/%2e%2E/x", 400, "invalid_request"),
            (MAY, "/passthrough/p0/v1/a%2f..%2fx", 400, "invalid_request"),
            (None, "/passthrough/p0/v1/models", 401, "invalid_api_key"),
        ]
        async with calling(gateway.port) as caller:
            for key, target, status, code in cases:
                reply = await caller.get(target, key=key)
                assert (reply.status, reply.error["code"]) == (status, code), target
            # More gateways than anybody has a use for.
            loop = (("x-gateway-hop", ",".join(f"{n:016x}" for n in range(5))),)
            reply = await caller.get("/passthrough/p0/v1/models", key=MAY, headers=loop)
            assert reply.status == 508
            # As Anthropic's clients read it, where they ask.
            reply = await caller.get(
                "/passthrough/p0/v1/x", key=MAY_NOT, headers=(("anthropic-version", "2023-06-01"),)
            )
            assert reply.error["type"] == "permission_error"
    assert provider.visits == []


async def test_answers_and_refusals_come_as_they_are_with_usage_and_cost() -> None:
    stream = b'data: {"type":"x","usage":%b}\n\n' % json.dumps(USAGE).encode()

    async def answer(visit: Visit) -> None:
        await visit.read()
        if visit.target == "/v1/chat/completions":
            await visit.reply(200, json.dumps(completion()).encode())
        elif visit.target == "/v1/stream":
            await visit.begin(200, content_type="text/event-stream")
            for at in range(0, len(stream), 7):
                await visit.send(stream[at : at + 7])
            await visit.end()
        elif visit.target == "/v1/error":
            await visit.reply(422, b'{"detail":"no, sk-provider"}', retry_after="3")
        elif visit.target == "/v1/key":
            await visit.reply(401, b'{"error":"sk-provider is wrong"}')
        elif visit.target == "/v1/scope":
            await visit.reply(403, b'{"error":"missing scopes"}')
        elif visit.target == "/v1/busy":
            await visit.reply(529, b'{"type":"error","error":{"type":"overloaded_error"}}')
        elif visit.target == "/v1/broken":
            await visit.begin(200, content_type="application/octet-stream", content_length="10")
            await visit.send(b"12345")
            await visit.stream.aclose()
        elif visit.target == "/v1/none":
            await visit.begin(204)
            await visit.end()
        else:
            await visit.reply(200, json.dumps({"usage": USAGE}).encode())

    body = json.dumps({"model": "real-model", "stream": False}).encode()
    async with providing(answer) as provider, in_process(text(provider)) as gateway:
        async with calling(gateway.port) as caller:

            async def post(path: str) -> tuple[int, bytes, bool]:
                await caller.post(body, key=MAY, target=f"/passthrough/p0{path}")
                reply = await caller.reply()
                return reply.status, reply.body, reply.complete

            # With the version and without.
            for path in ("/v1/plain", "/plain"):
                status, said, _ = await post(path)
                assert (status, json.loads(said)) == (200, {"usage": USAGE})
            assert await post("/stream") == (200, stream, True)
            assert await post("/error") == (422, b'{"detail":"no, ***"}', True)
            assert (await post("/busy"))[:2] == (
                529,
                b'{"type":"error","error":{"type":"overloaded_error"}}',
            )
            status, said, _ = await post("/key")
            assert (status, json.loads(said)["error"]["code"]) == (502, "all_providers_failed")
            assert (await post("/scope"))[:2] == (403, b'{"error":"missing scopes"}')
            # Nobody else loses the key for that.
            assert (await ask(gateway.port, key=MAY)).status == 200
            assert await post("/none") == (204, b"", True)
            status, said, complete = await post("/broken")
            assert (status, said, complete) == (200, b"12345", False)
        records = [await gateway.record(number) for number in range(1, 11)]
    assert [visit.target for visit in provider.visits[:2]] == ["/v1/plain", "/v1/plain"]
    for record in records[:3]:
        # 1000 at 1 USD a million and 500 at 2 USD.
        assert record.cost_nano_usd == 2_000_000
        assert (record.model, record.provider_model) == ("real-model", "real-model")
    assert [record.end_reason for record in records[3:]] == [
        *(EndReason.PROVIDER_REJECTED, EndReason.PROVIDER_REJECTED, EndReason.PROVIDERS_FAILED),
        *(EndReason.PROVIDER_REJECTED, EndReason.COMPLETE),
        *(EndReason.COMPLETE, EndReason.UPSTREAM_BROKE),
    ]


async def upload(caller: Caller, size: int, target: str) -> None:
    await caller.begin(
        size,
        key=MAY,
        target=target,
        method="PUT",
        headers=(("content-type", "application/octet-stream"),),
    )
    for _ in range(size // len(PIECE)):
        await caller.send(PIECE)
    await caller.send(b"", end=True)


def peak() -> int:
    """Return the most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.measured
@pytest.mark.parametrize("large", [48 * MIB, pytest.param(LARGE, marks=pytest.mark.soak)])
async def test_large_bodies_up_and_down_hold_no_memory(large: int) -> None:
    got = 0

    async def answer(visit: Visit) -> None:
        nonlocal got
        while piece := await visit.receive():
            got += len(piece)
        await visit.begin(200, content_type="application/octet-stream", content_length=str(large))
        for _ in range(large // len(PIECE)):
            await visit.send(PIECE)
        await visit.end()

    async with providing(answer) as provider, in_process(text(provider)) as gateway:
        async with calling(gateway.port) as caller:
            before = peak()
            await upload(caller, large, "/passthrough/p0/files/large")
            assert await caller.head() == 200
            size = 0
            while (data := await caller.some()) is not None:
                size += len(data)
        record = await gateway.record()
    assert (got, size) == (large, large)
    assert record.end_reason is EndReason.COMPLETE
    # All of it is in this process: both ends and the gateway.
    assert peak() - before < 16 * MIB


async def test_an_echo_is_streamed_both_ways_at_once() -> None:
    async def answer(visit: Visit) -> None:
        await visit.begin(200, content_type="application/octet-stream")
        while piece := await visit.receive():
            await visit.send(piece)
        await visit.end()

    async with providing(answer) as provider, in_process(text(provider)) as gateway:
        async with calling(gateway.port) as caller:
            await caller.begin(
                8 * MIB,
                key=MAY,
                target="/passthrough/p0/echo",
                headers=(("content-type", "application/octet-stream"),),
            )
            sent = received = 0
            await caller.send(PIECE * 5)
            sent += 5 * len(PIECE)
            assert await caller.head() == 200
            while received < 8 * MIB:
                data = await caller.some()
                assert data is not None
                received += len(data)
                while sent < min(8 * MIB, received + 5 * len(PIECE)):
                    await caller.send(PIECE)
                    sent += len(PIECE)
            assert await caller.some() is None
        await gateway.settled()
        assert (await gateway.record()).end_reason is EndReason.COMPLETE


async def gone(gateway: InProcess, visit: Visit, number: int = 1) -> None:
    """Wait until the provider has noticed that it is left, and the gateway has settled."""
    await until(lambda: visit.cut, "a provider that was left")
    await gateway.settled()
    assert (await gateway.record(number)).end_reason is EndReason.CLIENT_GONE


async def test_who_leaves_ends_the_other_side() -> None:
    async def answer(visit: Visit) -> None:
        if visit.target == "/v1/up":
            await visit.read()
        await visit.begin(200, content_type="application/octet-stream")
        while True:
            await visit.send(PIECE)

    async with providing(answer) as provider, in_process(text(provider)) as gateway:
        # In the middle of the body...
        async with calling(gateway.port) as caller:
            await caller.begin(LARGE, key=MAY, target="/passthrough/p0/up")
            await caller.send(PIECE * 16)
            await until(lambda: bool(provider.visits), "a visit")
        await gone(gateway, provider.visits[0])
        # ...and in the middle of the answer.
        async with calling(gateway.port) as caller:
            await caller.post(b"{}", key=MAY, target="/passthrough/p0/down")
            assert await caller.head() == 200
            await caller.some()
        await gone(gateway, provider.visits[1], 2)


async def test_a_provider_that_answers_early_is_heard() -> None:
    async def answer(visit: Visit) -> None:
        await visit.receive()
        await visit.reply(413, b'{"error":{"message":"too large"}}')
        await visit.stream.aclose()

    async with providing(answer) as provider, in_process(text(provider)) as gateway:
        async with calling(gateway.port) as caller:
            await caller.begin(LARGE, key=MAY, target="/passthrough/p0/up")
            await caller.send(PIECE * 8)
            assert await caller.head() == 413
            body, _ = await caller.rest()
            assert b"too large" in body
        await gateway.settled()
        assert (await gateway.record()).end_reason is EndReason.PROVIDER_REJECTED


async def test_limits_hold() -> None:
    async def answer(visit: Visit) -> None:
        await visit.read()
        await visit.begin(200, content_type="text/event-stream")
        await visit.send(b": hello\n\n")
        await trio.sleep_forever()

    server = "max_upload_bytes = 1048576"
    async with providing(answer) as provider, in_process(text(provider, server)) as gateway:
        async with calling(gateway.port) as one, calling(gateway.port) as two:
            await one.post(b"{}", key=LIMITED, target="/passthrough/p0/x")
            assert await one.head() == 200
            await two.post(b"{}", key=LIMITED, target="/passthrough/p0/x")
            reply = await two.reply()
            assert (reply.status, reply.error["code"]) == (429, "rate_limit_exceeded")
        async with calling(gateway.port) as caller:
            await caller.begin(2 * MIB, key=MAY, target="/passthrough/p0/x")
            reply = await caller.reply()
            assert (reply.status, reply.error["code"]) == (413, "request_too_large")
        await gateway.settled()


async def test_the_debug_log_keeps_what_is_held_and_what_was_answered(tmp_path: Path) -> None:
    async def answer(visit: Visit) -> None:
        await visit.read()
        await visit.reply(
            200, b'{"id": "file-1", "object": "file", "token": "' + MAY.encode() + b'"}'
        )

    debug = f'[debug_log]\nsample = 1.0\nfolder = "{tmp_path}"\n'
    async with (
        providing(answer) as provider,
        in_process(config(provider.port, tokens=TOKENS + debug)) as gateway,
        calling(gateway.port) as caller,
    ):
        for target, body in (
            (f"/passthrough/p0/v1/x?a=b&key={MAY}&token=secret", b"short " + MAY.encode()),
            ("/passthrough/p0/v1/long", b"x" * (512 * 1024)),
            ("/v1/files?purpose=batch", b""),
        ):
            await caller.begin(len(body), key=MAY, target=target)
            await caller.send(body, end=True)
            assert (await caller.reply()).status == 200
        for number in (1, 2, 3):
            await gateway.record(number)
    # The application has written them when it ends.
    found = {each.request.target: each for each in kept(tmp_path)}
    short = found["/passthrough/p0/v1/x?a=b&token=[redacted]"]
    assert (short.request.method, short.request.body.text) == ("POST", "short [redacted]")
    assert short.body is not None
    assert json.loads(short.body.body.text) == {
        "id": "file-1", "object": "file", "token": "[redacted]"
    }  # fmt: skip
    long = found["/passthrough/p0/v1/long"]
    assert (long.request.body.withheld, long.request.truncated) == (PASSED_ON, True)
    assert long.body is not None
    files = found["/v1/files?purpose=batch"]
    assert files.body is not None
    assert json.loads(files.body.body.text)["id"] == "file-1"
