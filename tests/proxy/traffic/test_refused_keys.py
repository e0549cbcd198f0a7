from __future__ import annotations

import hashlib
from functools import cache

import pytest
import structlog
import trio
from trio.testing import MockClock

from gateway.config.callers import Caller
from gateway.config.snapshot import Snapshot
from gateway.core.records.record import Record
from gateway.errors import AuthenticationFailed
from gateway.proxy.traffic.refused_keys import (
    FREE,
    KEPT,
    KEPT_OF_ALL,
    MOST_ADDRESSES,
    PERIOD,
    RefusedKeys,
    TooManyRefusedKeys,
)

from ..world import deployment, snapshot_of

KEY = b"sk-good-12345678"


@cache
def snapshot() -> Snapshot:
    digest = hashlib.sha256(KEY).digest()
    return snapshot_of(
        deployment("a"), callers=[Caller(name="t", digest=digest, models=frozenset({"m"}))]
    )


def record(address: str | None = "10.0.0.1", code: str | None = "invalid_api_key") -> Record:
    return Record(request_id="r", time=0.0, client=address, error_code=code)


def refuse(keys: RefusedKeys, address: str | None = "10.0.0.1", key: bytes | None = b"bad") -> int:
    with pytest.raises((AuthenticationFailed, TooManyRefusedKeys)) as caught:
        keys.authenticate(snapshot(), key, address)
    return caught.value.status


async def test_an_address_is_told_to_wait(autojump_clock: MockClock) -> None:
    keys = RefusedKeys()
    assert [refuse(keys) for _ in range(FREE)] == [401] * FREE
    with pytest.raises(TooManyRefusedKeys) as caught:
        keys.authenticate(snapshot(), b"bad", "10.0.0.1")
    assert caught.value.status == 429
    assert 0 < (caught.value.retry_after or 0) <= PERIOD
    assert caught.value.should_retry is False
    assert refuse(keys, key=None) == 429
    # Neither another address nor a good key from this one.
    assert refuse(keys, "10.0.0.2") == 401
    assert refuse(keys, None) == 401
    assert keys.authenticate(snapshot(), KEY, "10.0.0.1").name == "t"
    await trio.sleep(PERIOD)
    assert refuse(keys) == 401


async def test_of_ipv6_a_network_counts(autojump_clock: MockClock) -> None:
    keys = RefusedKeys()
    found = [refuse(keys, f"2001:db8::{number:x}") for number in range(FREE + 1)]
    assert found == [401] * FREE + [429]
    assert refuse(keys, "2001:db8:1::1") == 401
    assert refuse(keys, "::ffff:10.0.0.1") == refuse(keys, "10.0.0.1") == 401


async def test_few_are_kept(autojump_clock: MockClock) -> None:
    keys = RefusedKeys()
    kept = 0
    for _ in range(1000):
        refuse(keys)
        kept += keys.keeps(record())
    assert kept == KEPT
    assert (keys.total, keys.unkept) == (1000, 1000 - KEPT)
    for number in range(1000):
        address = f"10.1.{number // 250}.{number % 250}"
        refuse(keys, address)
        kept += keys.keeps(record(address))
    assert kept == KEPT_OF_ALL
    await trio.sleep(PERIOD)
    with structlog.testing.capture_logs() as logs:
        refuse(keys)
    assert keys.keeps(record())
    assert [(each["requests"], each["most_from"], each["most"]) for each in logs] == [
        (1900, "10.0.0.1", 1000)
    ]


async def test_other_requests_are_all_kept(autojump_clock: MockClock) -> None:
    keys = RefusedKeys()
    for _ in range(FREE):
        refuse(keys)
        keys.keeps(record())
    assert not keys.keeps(record())
    for code in (None, "model_not_found", "rate_limit_exceeded"):
        assert keys.keeps(record(code=code))
    known = record()
    known.token = "t"
    assert keys.keeps(known)


async def test_addresses_are_bounded(autojump_clock: MockClock) -> None:
    keys = RefusedKeys()
    for number in range(3 * MOST_ADDRESSES):
        refuse(keys, f"10.{number // 65536}.{number // 256 % 256}.{number % 256}")
    assert len(keys._counts) <= MOST_ADDRESSES + 1
    # Those that share a count are made to wait together, with the others not.
    assert refuse(keys, "10.9.9.9") == 429
    assert refuse(keys, "10.0.0.0") == 401
