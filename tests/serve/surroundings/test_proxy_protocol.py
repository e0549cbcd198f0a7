from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from ipaddress import ip_address

import pytest
import trio
import trio.lowlevel

from gateway.serve.policy import ServingPolicy
from gateway.serve.surroundings.proxy_protocol import (
    ProxiedListener,
    listener_for,
    peer_of,
)

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
POLICY = ServingPolicy(proxy_protocol=True, header_timeout=5.0)
LOAD_BALANCER = "127.0.0.1"


def binary(
    source: str | None, port: int = 4711, *, command: int = 1, family: int | None = None,
    more: bytes = b"",
) -> bytes:  # fmt: skip
    address = ip_address(source) if source else None
    target = None if address is None else ip_address("::1" if address.version == 6 else "10.0.0.9")
    rest = b""
    if address is not None and target is not None:
        rest = address.packed + target.packed + struct.pack("!HH", port, 443)
    kind = family if family is not None else {4: 0x11, 6: 0x21}[address.version] if address else 0
    length = struct.pack("!H", len(rest + more))
    return SIGNATURE + bytes([0x20 | command, kind]) + length + rest + more


class Ends:
    """A connection over loopback: the client's end, and ours as Trio has it."""

    def __init__(self) -> None:
        with socket.socket() as listener:
            listener.bind((LOAD_BALANCER, 0))
            listener.listen()
            self.client = socket.create_connection(listener.getsockname())
            server, _ = listener.accept()
        server.setblocking(False)
        self.server = trio.socket.from_stdlib_socket(server)


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    made = Ends()
    yield made
    made.client.close()
    made.server.close()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"PROXY TCP4 198.51.100.1 10.0.0.9 4711 443\r\n", ("198.51.100.1", 4711)),
        (b"PROXY TCP6 2001:db8::1 ::1 4711 443\r\n", ("2001:db8::1", 4711)),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None),
        (binary("198.51.100.1"), ("198.51.100.1", 4711)),
        (binary("2001:db8::1", 1), ("2001:db8::1", 1)),
        (binary("198.51.100.1", more=b"\x04\x00\x02ab"), ("198.51.100.1", 4711)),
        # A health check of the load balancer's own, and what has no address.
        (binary(None, command=0), None),
        (binary("198.51.100.1", command=0), None),
        (binary(None, family=0x31, more=b"\x00" * 216), None),
        (binary("198.51.100.1", family=0x12), None),
    ],
)
async def test_whose_connection_it_is(
    ends: Ends, header: bytes, expected: tuple[str, int] | None
) -> None:
    peer = (LOAD_BALANCER, ends.client.getsockname()[1])
    ends.client.sendall(header + b"GET / ")
    assert await peer_of(ends.server, POLICY) == (expected or peer)
    # What follows is left for HTTP, or for TLS.
    assert await ends.server.recv(100) == b"GET / "


async def test_a_header_in_pieces(ends: Ends) -> None:
    header = binary("2001:db8::1")

    async def send() -> None:
        for number in range(len(header)):
            ends.client.sendall(header[number : number + 1])
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        assert await peer_of(ends.server, POLICY) == ("2001:db8::1", 4711)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaa",
        b"PROXY TCP4 198.51.100.1 10.0.0.9 4711\r\n",
        b"PROXY TCP4 2001:db8::1 ::1 4711 443\r\n",
        b"PROXY TCP6 198.51.100.1 10.0.0.9 4711 443\r\n",
        b"PROXY TCP4 198.51.100.1 10.0.0.9 99999 443\r\n",
        b"PROXY TCP4 198.51.100.1 10.0.0.9 -1 443\r\n",
        b"PROXY TCP4 localhost 10.0.0.9 1 443\r\n",
        b"PROXY UDP4 198.51.100.1 10.0.0.9 1 443\r\n",
        b"PROXY  \r\n" + b" " * 20,
        b"PROXY TCP4 " + b"1" * 200,
        SIGNATURE + b"\x11\x11\x00\x0c" + b"a" * 12,
        SIGNATURE + b"\x22\x11\x00\x0c" + b"a" * 12,
        SIGNATURE + b"\x21\x11\x00\x04" + b"a" * 12,
        SIGNATURE + b"\x21\x11\xff\xff" + b"a" * 12,
    ],
)
async def test_what_is_no_header_is_hung_up_on(ends: Ends, sent: bytes) -> None:
    ends.client.sendall(sent)
    with pytest.raises(trio.BrokenResourceError):
        await peer_of(ends.server, POLICY)


@pytest.mark.parametrize("sent", [b"", b"PROXY TCP4 198", SIGNATURE + b"\x21"])
async def test_one_that_leaves_in_it(ends: Ends, sent: bytes) -> None:
    ends.client.sendall(sent)
    ends.client.close()
    with pytest.raises(trio.BrokenResourceError):
        await peer_of(ends.server, POLICY)


async def test_one_that_says_nothing_has_so_much_time(ends: Ends) -> None:
    hurried = ServingPolicy(proxy_protocol=True, header_timeout=0.05)
    ends.client.sendall(b"PROXY")
    with pytest.raises(trio.BrokenResourceError, match="in time"):
        await peer_of(ends.server, hurried)


async def test_only_those_who_are_named_may_say_it(ends: Ends) -> None:
    ends.client.sendall(binary("198.51.100.1"))
    named = ServingPolicy(proxy_protocol=True, trusted_proxies=("10.0.0.0/8",))
    with pytest.raises(trio.BrokenResourceError, match="trusted_proxies"):
        await peer_of(ends.server, named)
    named = ServingPolicy(proxy_protocol=True, trusted_proxies=("127.0.0.0/8",))
    assert await peer_of(ends.server, named) == ("198.51.100.1", 4711)


async def test_switched_off_nothing_is_read(ends: Ends) -> None:
    ends.client.sendall(b"PROXY UNKNOWN\r\n")
    peer = (LOAD_BALANCER, ends.client.getsockname()[1])
    assert await peer_of(ends.server, ServingPolicy()) == peer
    assert await ends.server.recv(100) == b"PROXY UNKNOWN\r\n"


async def test_connections_are_not_read_from_as_they_are_accepted() -> None:
    with trio.socket.socket() as sock:
        await sock.bind((LOAD_BALANCER, 0))
        sock.listen()
        assert type(listener_for(ServingPolicy, sock)) is trio.SocketListener
        listener = listener_for(lambda: POLICY, sock)
        assert isinstance(listener, ProxiedListener)
        async with listener, await trio.open_tcp_stream(*sock.getsockname()) as client:
            await client.send_all(b"x")
            accepted = await listener.accept()
            assert await accepted.receive_some() == b"x"
            await accepted.aclose()
