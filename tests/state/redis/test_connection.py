from __future__ import annotations

import gc
import os
import random
import resource
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme

from gateway.core.limits.ledger import Demand, LimitRefusal, Scope, ScopeLimits
from gateway.core.limits.operations import StoreFailed
from gateway.core.state_server import StateServer
from gateway.state.redis import connection as module
from gateway.state.redis.connection import RedisConnection
from gateway.state.redis.limit_store import RedisLimitStore
from gateway.state.shared.limits import SharedLimits

from ...ports import lasting_port
from ...rounds import swept
from ...valkey import NoValkey, Reply, ValkeyServer
from ..shared.conftest import until
from .scripted import Play, greet, played

ONE = (Scope("token:a", ScopeLimits(max_concurrent=1)),)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


def server(stack: ExitStack, **options: str) -> ValkeyServer:
    try:
        made = ValkeyServer({name.replace("_", "-"): value for name, value in options.items()})
    except NoValkey as exc:
        pytest.skip(f"no Valkey and no Redis: {exc}")
    return stack.enter_context(made)


async def ping(settings: StateServer) -> Any:
    connection = RedisConnection(settings)
    async with connection.connected():
        return await connection.ask(b"PING")


async def failure(settings: StateServer) -> str:
    with pytest.raises(StoreFailed) as caught:
        await ping(settings)
    return str(caught.value)


@asynccontextmanager
async def limits_at(url: str) -> AsyncIterator[SharedLimits]:
    limits = SharedLimits(RedisLimitStore(StateServer(url=url)), random.random, timeout=1.0)
    async with trio.open_nursery() as nursery:
        await nursery.start(limits.run)
        yield limits
        await limits.finish()
        nursery.cancel_scope.cancel()


async def decides(limits: SharedLimits) -> None:
    """Wait until the server decides, and decides rightly."""
    with trio.fail_after(30):
        while limits.degraded:  # noqa: ASYNC110
            await trio.sleep(0.02)
    alone = limits.decided_alone
    grant = await limits.admit(ONE, Demand(), 60.0)
    assert not isinstance(grant, LimitRefusal)
    assert isinstance(await limits.admit(ONE, Demand(), 60.0), LimitRefusal)
    await limits.settle(grant, 0, 0)
    assert limits.decided_alone == alone


async def test_a_socket_and_a_database(valkey: ValkeyServer) -> None:
    async with limits_at(f"unix://{valkey.socket}?db=3") as limits:
        await decides(limits)
        found = valkey.command("KEYS", "{gateway}*", database=3)
        assert isinstance(found, list)
        assert found
    assert valkey.command("KEYS", "*") == []


async def test_passwords(stack: ExitStack) -> None:
    found = server(stack, user="app on >app-password ~{gateway}:* &{gateway}:* +@all")
    url = found.url
    assert await ping(StateServer(url=url, username="app", password="app-password")) == b"PONG"
    host = url.removeprefix("redis://")
    assert await ping(StateServer(url=f"redis://app:app-password@{host}")) == b"PONG"
    said = await failure(StateServer(url=url, username="app", password="wrong-password"))
    assert "WRONGPASS" in said or "password" in said
    assert "wrong-password" not in said


async def test_the_rights_that_are_documented_suffice(stack: ExitStack) -> None:
    text = Path(__file__).parents[3].joinpath("docs/configuration.md").read_text()
    rights = text.split("An ACL needs `")[1].split("`")[0]
    keys = text.split("An ACL needs `")[1].split("`")[2]
    channel = text.split("An ACL needs `")[1].split("`")[4]
    found = server(stack, user=f"app on >app-password {keys} {channel} {rights}")
    url = found.url.replace("redis://", "redis://app:app-password@")
    async with limits_at(url) as limits, limits_at(url) as other:
        await decides(limits)
        heard: list[bytes] = []
        other.hear(heard.append)
        with trio.fail_after(10):
            while not heard:
                limits.announce(b"x")
                await trio.sleep(0.02)
        assert limits.link.outages == 0


# coredis leaves memory streams of anyio unclosed where a certificate is not accepted.
@pytest.mark.filterwarnings(
    "ignore:Unclosed <MemoryObject", "ignore::pytest.PytestUnraisableExceptionWarning"
)
async def test_tls(stack: ExitStack, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    port = lasting_port()
    server(
        stack,
        tls_port=str(port),
        tls_cert_file=str(tmp_path / "cert.pem"),
        tls_key_file=str(tmp_path / "key.pem"),
        tls_auth_clients="no",
        tls_ca_cert_file=str(tmp_path / "ca.pem"),
    )
    trusted = StateServer(url=f"rediss://localhost:{port}", ca_file=str(tmp_path / "ca.pem"))
    assert await ping(trusted) == b"PONG"
    assert "certificate" in (await failure(StateServer(url=f"rediss://localhost:{port}"))).lower()
    # A name that the certificate is not for.
    other = StateServer(url=f"rediss://127.0.0.1:{port}", ca_file=str(tmp_path / "ca.pem"))
    assert "certificate" in (await failure(other)).lower()
    gc.collect()


async def test_what_is_not_there() -> None:
    assert await failure(StateServer(url=f"redis://127.0.0.1:{lasting_port()}"))
    assert await failure(StateServer(url="unix:///nowhere/sock"))
    assert await failure(StateServer(url=f"redis+sentinel://127.0.0.1:{lasting_port()}/main"))


@pytest.mark.slow
async def test_a_cluster(stack: ExitStack) -> None:
    nodes = await _cluster(stack)
    # Whichever is asked first, the right one is found.
    for order in (nodes, nodes[::-1]):
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in order)
        async with limits_at(f"redis+cluster://{hosts}") as limits:
            await decides(limits)
    keys = [node.command("KEYS", "*") for node in nodes]
    assert sorted(map(bool, keys)) == [False, True]


@pytest.mark.slow
async def test_a_slot_that_moves_takes_what_is_counted_along(stack: ExitStack) -> None:
    """No request fails while its keys are on the way, and none is forgotten."""
    nodes = await _cluster(stack)
    slot = nodes[0].command("CLUSTER", "KEYSLOT", "{gateway}:p")
    assert isinstance(slot, int)
    source, target = nodes if slot <= 8191 else nodes[::-1]
    ids = [_text(node.command("CLUSTER", "MYID")).decode() for node in (source, target)]
    scopes = (Scope("token:b", ScopeLimits(rpm=60)),)
    hosts = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
    async with limits_at(f"redis+cluster://{hosts}") as limits:
        await decides(limits)
        for _ in range(30):
            assert not isinstance(await limits.admit(scopes, Demand(), 60.0), LimitRefusal)
        began = trio.current_time()
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
        keys = source.command("CLUSTER", "GETKEYSINSLOT", slot, 1000)
        assert isinstance(keys, list)
        for number, key in enumerate(keys):
            # Half of them are here and half there: neither node can run a script on all.
            name = _text(key).decode()
            source.command("MIGRATE", "127.0.0.1", target.port, name, 0, 5000)
            if number == len(keys) // 2:
                for _ in range(5):
                    await limits.admit(scopes, Demand(), 60.0)
        for node in (target, source):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", ids[1])
        await decides(limits)
        found = 0
        while not isinstance(await limits.admit(scopes, Demand(), 60.0), LimitRefusal):
            found += 1
        # What is left of the bucket, and what has come back meanwhile.
        assert found <= 60 - 30 + (trio.current_time() - began) + 2
    assert target.command("KEYS", "{gateway}*")


@pytest.mark.slow
async def test_sentinels_name_another_server(stack: ExitStack) -> None:
    first = server(stack)
    second = server(stack)
    second.command("REPLICAOF", "127.0.0.1", first.port)
    watcher = _sentinel(stack, first)
    # One that is not there is gone past.
    hosts = f"127.0.0.1:{lasting_port()},127.0.0.1:{watcher}"
    async with limits_at(f"redis+sentinel://{hosts}/main") as limits:
        await decides(limits)
        await trio.sleep(1.5)
        first.kill()
        with trio.fail_after(30):
            while not limits.degraded:
                await limits.admit((Scope("token:b", ScopeLimits(rpm=1000)),), Demand(), 60.0)
                await trio.sleep(0.02)
        await decides(limits)
    assert second.command("KEYS", "{gateway}*")


async def _cluster(stack: ExitStack) -> list[ValkeyServer]:
    """Start two nodes that have half of the slots each."""
    nodes = [server(stack, cluster_enabled="yes") for _ in range(2)]
    for node, slots in zip(nodes, ((0, 8191), (8192, 16383)), strict=True):
        node.command("CLUSTER", "ADDSLOTSRANGE", *slots)
    nodes[0].command("CLUSTER", "MEET", "127.0.0.1", nodes[1].port)
    with trio.fail_after(30):
        for node in nodes:
            while b"cluster_state:ok" not in _text(node.command("CLUSTER", "INFO")):  # noqa: ASYNC110
                await trio.sleep(0.05)
    return nodes


def _text(reply: Reply) -> bytes:
    assert isinstance(reply, bytes)
    return reply


def _sentinel(stack: ExitStack, watched: ValkeyServer) -> int:
    """Start a sentinel that calls `watched` "main"; return its port."""
    made = ValkeyServer()
    file = made.folder / "sentinel.conf"
    file.write_text(
        f"port {made.port}\nsentinel monitor main 127.0.0.1 {watched.port} 1\n"
        "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n"
    )
    stack.enter_context(made.as_sentinel(file))
    return made.port


# Connections that are refused, not answered or given up while they are made, by a played server...


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
async def nothing_left() -> AsyncIterator[None]:
    """Hold that what is opened is closed again, at both ends."""
    gc.collect()
    before = descriptors()
    yield
    gc.collect()
    await until(lambda: descriptors() <= before)


async def refused(url: str) -> str:
    with pytest.raises(StoreFailed) as caught:
        async with RedisConnection(StateServer(url=url), "c").connected():
            raise AssertionError("it is not connected")
    return str(caught.value)


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(
    ("hello", "why"),
    [
        (b"-ERR unknown command 'HELLO'\r\n", "unknown command 'HELLO'"),
        (b"-WRONGPASS invalid username-password pair\r\n", "invalid username-password pair"),
        (b"-NOAUTH HELLO must be called with AUTH\r\n", "must be called with AUTH"),
        (b"-LOADING Valkey is loading the dataset in memory\r\n", "is loading the dataset"),
        (b"-ERR max number of clients reached\r\n", "max number of clients reached"),
        (b"+OK\r\n", "Unable to establish a connection to 127.0.0.1"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "Unknown RESP data type: 'H'"),
        (b"\r\n", "Unable to establish a connection to 127.0.0.1"),
    ],
)
async def test_a_server_that_greets_otherwise(hello: bytes, why: str) -> None:
    async with played(lambda stream: greet(stream, hello=hello)) as url:
        assert why in await refused(url)


@pytest.mark.usefixtures("nothing_left")
async def test_who_may_not_hear_what_is_published_is_not_connected() -> None:
    said = b"-NOPERM this user has no permissions to access the channel\r\n"
    async with played(lambda stream: greet(stream, subscribe=said)) as url:
        assert "no permissions to access the channel" in await refused(url)


@pytest.mark.usefixtures("nothing_left")
async def test_a_server_that_closes_at_once() -> None:
    async def close(stream: trio.SocketStream) -> None:
        await stream.aclose()

    async with played(close) as url:
        said = await refused(url)
        assert "closed the connection" in said or "reset" in said or "pipe" in said.lower()


async def silent(stream: trio.SocketStream) -> None:
    await stream.receive_some(100_000)
    await trio.sleep_forever()


async def greeted_only(stream: trio.SocketStream) -> None:
    await greet(stream, subscribe=b"")


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("play", [silent, greeted_only])
async def test_a_server_that_says_nothing(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CONNECT", 0.3)
    async with played(play) as url:
        assert (await refused(url)).startswith("no connection within")


@pytest.mark.usefixtures("nothing_left")
async def test_a_port_at_which_nothing_listens() -> None:
    assert "Connection refused" in await refused(f"redis://127.0.0.1:{lasting_port()}")


@pytest.mark.usefixtures("nothing_left")
async def test_no_descriptor_is_left() -> None:
    async with played(greet) as url:
        with no_more_descriptors():
            assert "Too many open files" in await refused(url)
        async with RedisConnection(StateServer(url=url), "c").connected():
            pass


@contextmanager
def no_more_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open("/dev/null", os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class CancelAtAnyStep(trio.abc.Instrument):
    """Cancels `scope` before or after the `step`-th step of all tasks, also of coredis's."""

    def __init__(self, scope: trio.CancelScope, step: int) -> None:
        self._scope = scope
        self._left = step

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._count()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self._count()

    def _count(self) -> None:
        self._left -= 1
        if not self._left:
            self._scope.cancel("the test wants to know")


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("encrypted", [False, True])
async def test_given_up_at_every_step_nothing_is_left(encrypted: bool, tmp_path: Path) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    async def play(stream: trio.SocketStream) -> None:
        if encrypted:
            await greet(trio.SSLStream(stream, server, server_side=True, https_compatible=True))
        else:
            await greet(stream)

    async with played(play) as plain:
        url = plain.replace("redis:", "rediss:") if encrypted else plain
        settings = StateServer(url=url, ca_file=str(tmp_path / "ca.pem"))
        connection = RedisConnection(settings, "c")
        before = descriptors()
        for step in swept(1_000, encrypted):
            answered = False
            with trio.CancelScope() as scope:
                instrument = CancelAtAnyStep(scope, step)
                trio.lowlevel.add_instrument(instrument)
                try:
                    async with connection.connected():
                        assert await connection.ask(b"PING") == b"OK"
                        answered = True
                finally:
                    trio.lowlevel.remove_instrument(instrument)
            # A cancellation is one, and no failure of the server's.
            assert scope.cancelled_caught or answered
            await until(lambda: descriptors() <= before)
            if not scope.cancel_called:
                break
        assert 50 < step < 1_000
        async with connection.connected():
            assert await connection.ask(b"PING") == b"OK"
