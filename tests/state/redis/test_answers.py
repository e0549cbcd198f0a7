from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from gateway.core.cache.answers import CachedAnswer, CachePolicy
from gateway.core.state_server import StateServer
from gateway.proxy.cache.response_cache import ResponseCache
from gateway.state.redis.answers import RedisAnswers

from ...valkey import ValkeyServer
from ..shared.conftest import until
from ..shared.faulty_proxy import FaultyProxy

KEY = b"\x01" * 32
NAME = "{gateway}:a:" + KEY.hex()


def answer(body: bytes = b"body", ttl: float = 60.0, created: float = 0.0) -> CachedAnswer:
    return CachedAnswer(
        status=200,
        dialect="openai_chat",
        headers=((b"content-type", b"application/json"),),
        body=body,
        stream=False,
        created=created,
        ttl=ttl,
    )


@asynccontextmanager
async def running(url: str, timeout: float = 1.0) -> AsyncIterator[RedisAnswers]:
    answers = RedisAnswers(StateServer(url=url, timeout=timeout))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answers.run)
        await until(lambda: answers._up)
        yield answers
        nursery.cancel_scope.cancel()


async def kept(valkey: ValkeyServer) -> None:
    await until(lambda: valkey.command("EXISTS", NAME) == 1)


async def test_what_one_keeps_another_finds(valkey: ValkeyServer) -> None:
    async with running(valkey.url) as one, running(valkey.url) as two:
        assert await two.find(KEY, 5.0) is None
        body = bytes(range(256)) * 4096
        one.keep(KEY, answer(body, ttl=100.0))
        await kept(valkey)
        now = trio.current_time()
        found = await two.find(KEY, now)
        assert found is not None
        assert (found.status, found.dialect, found.headers, found.body, found.ttl) == (
            200,
            "openai_chat",
            ((b"content-type", b"application/json"),),
            body,
            100.0,
        )
        assert now - 2.0 < found.created <= now
        # Its age is by the server's clock.
        valkey.command("PEXPIRE", NAME, 40_000)
        found = await two.find(KEY, now)
        assert found is not None
        assert now - found.created == pytest.approx(60.0, abs=1.0)


async def test_what_is_too_old_for_a_request_is_no_answer_to_it(valkey: ValkeyServer) -> None:
    async with running(valkey.url) as one, running(valkey.url) as two:
        cache, other = ResponseCache(CachePolicy(), one), ResponseCache(CachePolicy(), two)
        now = trio.current_time()
        cache.store.put(KEY, answer(ttl=100.0, created=now), now)
        await kept(valkey)
        valkey.command("PEXPIRE", NAME, 40_000)
        assert await other.find(KEY, 30.0) is None
        assert await other.find(KEY, 90.0) is not None
        # From here on it is known, and nothing is asked or told again.
        valkey.command("DEL", NAME)
        assert await other.find(KEY, 90.0) is not None
        assert valkey.command("EXISTS", NAME) == 0


@pytest.mark.measured
async def test_a_server_at_fault_is_a_cache_that_knows_nothing(valkey: ValkeyServer) -> None:
    proxy = FaultyProxy(valkey.port)
    async with proxy.listening(), running(proxy.url, timeout=0.05) as answers:
        answers.keep(KEY, answer())
        await kept(valkey)
        assert await answers.find(KEY, 0.0) is not None
        proxy.delay = 20.0
        began = trio.current_time()
        for _ in range(10):
            assert await answers.find(KEY, 0.0) is None
            answers.keep(KEY, answer())
        assert trio.current_time() - began < 0.3
        proxy.heal()
        proxy.reset()
        await until(lambda: answers._up)
        proxy.refuse()
        assert await answers.find(KEY, 0.0) is None
        await until(lambda: not answers._up)
        await proxy.listen()
        await until(lambda: answers._up)
        assert await answers.find(KEY, 0.0) is not None


async def test_what_another_version_has_kept_is_none(valkey: ValkeyServer) -> None:
    async with running(valkey.url) as answers:
        valkey.command("SET", NAME, "nonsense", "PX", 60_000)
        assert await answers.find(KEY, 0.0) is None
        # One that never expires is not ours.
        valkey.command("SET", NAME, "nonsense")
        assert await answers.find(KEY, 0.0) is None


async def test_more_than_can_be_sent_is_let_go(valkey: ValkeyServer) -> None:
    async with running(valkey.url) as answers:
        for number in range(40):
            answers.keep(bytes([number]) * 32, answer(bytes(1024 * 1024)))
        assert answers._bytes <= 16 * 1024 * 1024
        await until(lambda: not answers._waiting)
        assert answers._bytes == 0
