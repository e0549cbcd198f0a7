"""Compressed answers through the whole proxy."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest
from trio.testing import MockClock

from gateway.config.listener.server import Server

from ...scripts import DONE, EOF, EVENTS, JSON, STOP, TOTALS, Head, Step, answer, chunk, ok
from ...world import World

PACKERS: dict[bytes, Callable[[bytes], bytes]] = {b"gzip": gzip.compress, b"deflate": zlib.compress}
CONTEXT = b'{"error":{"message":"too long","code":"context_length_exceeded"}}'
WHOLE = b'{"model":"real","choices":[{"message":{"content":"hi"}}]}'


def packed(
    name: bytes, body: bytes, *, status: int = 200, kind: tuple[bytes, bytes] = JSON, cut: int = 7
) -> list[Step]:
    data = PACKERS[name](body)
    head = Head(status, (kind, (b"content-encoding", name), (b"content-length", b"1")))
    return [(0, head), (0, data[:cut]), (1, data[cut:]), (0, EOF)]


@pytest.mark.parametrize("name", PACKERS)
async def test_a_compressed_answer_is_inflated(autojump_clock: MockClock, name: bytes) -> None:
    world = World([("a", packed(name, WHOLE))], stream=False)
    record = await world.run()
    assert world.client.text == WHOLE.replace(b'"real"', b'"m"')
    assert b"content-encoding" not in world.client.headers
    assert record.end_reason == "complete"
    assert world.upstream.responses[0].kept


@pytest.mark.parametrize("name", PACKERS)
async def test_a_compressed_stream_is_inflated(autojump_clock: MockClock, name: bytes) -> None:
    stream = chunk("hi") + STOP + TOTALS + DONE
    world = World([("a", packed(name, stream, kind=EVENTS, cut=30))])
    record = await world.run()
    assert world.client.text == (chunk("hi") + STOP).replace(b'"real"', b'"m"') + DONE
    assert (record.end_reason, record.input_tokens) == ("complete", 100)


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_compressed_refusal_is_recognised(
    autojump_clock: MockClock, name: bytes, stream: bool
) -> None:
    world = World([("a", packed(name, CONTEXT, status=400))], stream=stream)
    record = await world.run()
    assert (world.client.status, world.client.text) == (400, CONTEXT)
    assert b"content-encoding" not in world.client.headers
    assert world.causes == ["context_length"]
    assert record.error == "400 too long"


@pytest.mark.parametrize("name", [b"br", b"zstd", b"gzip, gzip"])
@pytest.mark.parametrize("stream", [True, False])
async def test_what_cannot_be_read_is_asked_for_once(
    autojump_clock: MockClock, name: bytes, stream: bool
) -> None:
    head = Head(200, (EVENTS if stream else JSON, (b"content-encoding", name)))
    world = World([("a", [(0, head), (0, b"\x1b\x00\x01"), (0, EOF)])], stream=stream)
    await world.run()
    assert world.causes == ["unreadable"]
    message = f"unreadable (the body is compressed as {name.decode()})"
    assert world.client.error["message"] == f"all providers failed: a/real: {message}"


async def test_another_provider_may_answer_what_cannot_be_read(autojump_clock: MockClock) -> None:
    head = Head(200, (JSON, (b"content-encoding", b"br")))
    world = World([("a", [(0, head), (0, b"\x1b"), (0, EOF)]), ("b", answer())], stream=False)
    await world.run()
    assert world.causes == ["unreadable", "ok"]


@pytest.mark.parametrize(
    ("name", "body"), [(b"br", b"\x1b\x00\x01"), (b"gzip", b"\x1f\x8b\x08 damaged, and so on")]
)
async def test_a_refusal_that_cannot_be_read_keeps_its_status(
    autojump_clock: MockClock, name: bytes, body: bytes
) -> None:
    head = Head(400, (JSON, (b"content-encoding", name)))
    world = World([("a", [(0, head), (0, body), (0, EOF)])])
    record = await world.run()
    assert world.client.status == 400
    assert "cannot be read" in world.client.error["message"]
    assert body not in world.client.text
    assert "\x1b" not in (record.error or "")
    assert world.causes == ["rejected"]


async def test_a_damaged_answer_is_not_asked_for_again(autojump_clock: MockClock) -> None:
    damaged = bytearray(gzip.compress(WHOLE))
    damaged[12] ^= 0xFF
    head = Head(200, (JSON, (b"content-encoding", b"gzip")))
    world = World([("a", [(0, head), (0, bytes(damaged)), (0, EOF)])], stream=False)
    await world.run()
    assert world.causes == ["unreadable"]


async def test_a_bomb_counts_by_what_it_inflates_to(autojump_clock: MockClock) -> None:
    bomb = packed(b"gzip", b'{"x":"' + b"a" * 10_000_000)
    server = Server(max_response_bytes=1_000_000)
    world = World([("a", bomb), ("b", answer())], stream=False, server=server)
    await world.run()
    assert world.causes == ["unreadable", "ok"]
    assert world.upstream.responses[0].taken != []


# Compressed, and no header says so...


def undeclared(
    body: bytes, *, status: int = 200, cut: int = 1, kind: tuple[bytes, bytes] = JSON
) -> list[Step]:
    return [(0, Head(status, (kind,))), (0, body[:cut]), (0.1, body[cut:]), (0, EOF)]


@pytest.mark.parametrize("pack", PACKERS.values(), ids=["gzip", "deflate"])
@pytest.mark.parametrize("cut", [1, 2, 5])
@pytest.mark.parametrize("stream", [True, False])
async def test_the_bytes_tell_that_they_are_compressed(
    autojump_clock: MockClock, pack: Callable[[bytes], bytes], cut: int, stream: bool
) -> None:
    world = World([("a", undeclared(pack(CONTEXT), status=400, cut=cut))], stream=stream)
    record = await world.run()
    assert (world.client.status, world.client.text) == (400, CONTEXT)
    assert world.causes == ["context_length"]
    assert record.error == "400 too long"
    if stream:
        plain, kind = chunk("hi") + STOP + TOTALS + DONE, EVENTS
    else:
        plain, kind = WHOLE, JSON
    world = World([("a", undeclared(pack(plain), cut=cut, kind=kind))], stream=stream)
    record = await world.run()
    assert record.end_reason == "complete"
    assert b"hi" in world.client.text


async def test_a_bomb_under_no_header_is_bounded_too(autojump_clock: MockClock) -> None:
    bomb = gzip.compress(b"a" * 10_000_000)
    world = World([("a", undeclared(bomb, status=400)), ("b", ok())])
    record = await world.run()
    assert world.causes == ["unreadable", "ok"]
    assert record.attempts[0].error == "400, and its body is larger than 1048576 bytes"


@pytest.mark.parametrize("status", [400, 404, 422])
@pytest.mark.parametrize(
    "body",
    [b"\x28\xb5\x2f\xfd\x04\x00\x91", b"\x1b\x0f\x00\xf8\x05", b"\x1f\x8b\x08 damaged, and so on"],
    ids=["zstd", "brotli", "damaged"],
)
async def test_what_is_no_text_is_not_relayed(
    autojump_clock: MockClock, status: int, body: bytes
) -> None:
    world = World([("a", undeclared(body, status=status))])
    record = await world.run()
    assert world.client.status == status
    assert world.client.error["code"] == "provider_rejected"
    assert body not in world.client.text
    assert (record.error or "").isprintable()


async def test_a_failure_says_what_it_says_inflated(autojump_clock: MockClock) -> None:
    body = gzip.compress(b'{"error":{"message":"busy"}}')
    world = World([("a", undeclared(body, status=503)), ("b", ok())])
    record = await world.run()
    assert record.attempts[0].error == "503 busy"
    packed_twice = gzip.compress(gzip.compress(WHOLE))
    head = Head(200, (JSON, (b"content-encoding", b"gzip")))
    world = World([("a", [(0, head), (0, packed_twice), (0, EOF)])], stream=False)
    record = await world.run()
    assert record.end_reason == "complete"


@pytest.mark.parametrize("stream", [True, False])
async def test_only_how_a_body_begins_tells(autojump_clock: MockClock, *, stream: bool) -> None:
    """An x and a letter of Arabic, cut out of the middle, look like the beginning of zlib."""
    whole = '{"model":"m","choices":[{"message":{"content":"xښ"},"finish_reason":"stop"}]}'.encode()
    cut = whole.index(b"x")
    steps: list[Step] = [(0, Head(200, (JSON,))), (0, whole[:cut]), (0.1, whole[cut:]), (0, EOF)]
    world = World([("a", steps)], stream=stream)
    record = await world.run()
    assert record.end_reason == "complete"
    assert "xښ".encode() in world.client.text
