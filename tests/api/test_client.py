from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from gateway.api.client import LINGER_BYTES, LINGER_SECONDS, AsgiClient
from gateway.api.requests.served_request import Message
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.errors import (
    BodyTimeout,
    BodyTooLarge,
    ClientGone,
    NotFound,
    Overloaded,
    SendStalled,
)
from gateway.lifecycle import Lifecycle

from .asgi import DISCONNECT, Server, piece


def client_of(
    server: Server,
    *,
    has_body: bool = True,
    content_length: int | None = None,
    lifecycle: Lifecycle | None = None,
) -> AsgiClient:
    return AsgiClient(
        server.receive,
        server.send,
        b"req_1",
        lifecycle or Lifecycle(),
        OPENAI_CHAT,
        has_body=has_body,
        content_length=content_length,
    )


# The body...


@pytest.mark.parametrize(
    ("length", "asked"),
    [pytest.param(6, [6], id="announced"), pytest.param(None, [4, 12], id="chunked")],
)
async def test_room_is_asked_for_before_a_body_is_kept(
    length: int | None, asked: list[int], autojump_clock: MockClock
) -> None:
    server = Server(*((1, piece(b"ab", more=more)) for more in (True, True, False)))
    client = client_of(server, content_length=length)
    room: list[int] = []

    async def grow(size: int) -> None:
        room.append(size)

    client.before_body(grow)
    assert await client.read_body(100, 30) == b"ababab"
    assert room == asked


async def test_a_body_without_room_is_refused_unread() -> None:
    server = Server((0, piece(b"ab")))
    client = client_of(server, content_length=2)

    async def grow(size: int) -> None:
        raise Overloaded("full", retry_after=1)

    client.before_body(grow)
    with pytest.raises(Overloaded):
        await client.read_body(100, 30)


async def test_a_body_is_joined(autojump_clock: MockClock) -> None:
    server = Server((1, piece(b"ab", more=True)), (1, piece(b"", more=True)), (1, piece(b"c")))
    assert await client_of(server).read_body(3, 30) == b"abc"
    assert trio.current_time() == 3


async def test_a_request_without_a_body_is_not_waited_for(autojump_clock: MockClock) -> None:
    server = Server()
    assert await client_of(server, has_body=False).read_body(3, 30) == b""
    assert server.received == 0


async def test_an_announced_body_that_is_too_large_is_not_read(autojump_clock: MockClock) -> None:
    server = Server((0, piece(b"abcd")))
    with pytest.raises(BodyTooLarge, match="larger than 3 bytes"):
        await client_of(server, content_length=4).read_body(3, 30)
    assert server.received == 0


async def test_an_unannounced_body_is_counted(autojump_clock: MockClock) -> None:
    server = Server((1, piece(b"ab", more=True)), (1, piece(b"cd", more=True)), (1, piece()))
    with pytest.raises(BodyTooLarge):
        await client_of(server).read_body(3, 30)
    assert trio.current_time() == 2


async def test_a_body_may_be_as_large_as_the_limit(autojump_clock: MockClock) -> None:
    assert await client_of(Server((0, piece(b"abc"))), content_length=3).read_body(3, 30) == b"abc"


async def test_a_slow_body_is_given_up_at_its_deadline(autojump_clock: MockClock) -> None:
    # Bytes that trickle in do not extend the time.
    server = Server(*[(4.0, piece(b"x", more=True))] * 20)
    with pytest.raises(BodyTimeout, match="within 30 s"):
        await client_of(server).read_body(100, 30)
    assert trio.current_time() == 30


async def test_a_caller_may_leave_before_the_body_ends(autojump_clock: MockClock) -> None:
    server = Server((1, piece(b"x", more=True)), (1, DISCONNECT))
    client = client_of(server)
    with pytest.raises(ClientGone):
        await client.read_body(100, 30)
    # It is remembered: nobody says it twice.
    await client.wait_gone()
    assert trio.current_time() == 2


# Leaving...


async def test_wait_gone_returns_when_the_caller_leaves(autojump_clock: MockClock) -> None:
    server = Server((0, piece(b"x")), (7, DISCONNECT))
    client = client_of(server)
    await client.read_body(100, 30)
    await client.wait_gone()
    assert trio.current_time() == 7


async def test_a_disconnect_during_the_last_message_is_no_leaving(
    autojump_clock: MockClock,
) -> None:
    server = Server(closes_late=True)
    client = client_of(server, has_body=False)
    returned = False

    async def watch() -> None:
        nonlocal returned
        await client.wait_gone()
        returned = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await client.begin(200, ())
        await client.finish(b"all")
        await trio.sleep(5)
        nursery.cancel_scope.cancel("seen enough")
    assert server.complete
    assert not returned


async def test_a_disconnect_after_a_stalled_write_is_no_leaving(autojump_clock: MockClock) -> None:
    server = Server(stalls=1)
    client = client_of(server, has_body=False)
    await client.begin(200, ())
    with pytest.raises(SendStalled):
        await client.send(b"x")
    server.disconnect()
    with trio.move_on_after(5) as scope:
        await client.wait_gone()
    assert scope.cancelled_caught


# Answers...


async def test_an_answer_carries_the_request_id(autojump_clock: MockClock) -> None:
    server = Server()
    client = client_of(server, has_body=False)
    before = client.status
    await client.begin(200, ((b"x-a", b"1"),))
    assert (before, client.status) == (None, 200)
    await client.send(b"one")
    await client.finish(b"two")
    assert server.headers == {b"x-a": b"1", b"x-request-id": b"req_1"}
    assert server.body == b"onetwo"
    assert [message.get("more_body") for _, message in server.sent] == [None, True, False]


@pytest.mark.parametrize("leaving", [False, True])
async def test_who_leaves_asks_callers_to_come_anew(
    autojump_clock: MockClock, *, leaving: bool
) -> None:
    lifecycle = Lifecycle()
    if leaving:
        lifecycle.start_drain()
    server = Server()
    await client_of(server, has_body=False, lifecycle=lifecycle).reply(200, (), b"x")
    assert server.headers.get(b"connection") == (b"close" if leaving else None)
    assert server.headers[b"content-length"] == b"1"


async def test_a_refusal_is_an_error_in_openai_s_shape(autojump_clock: MockClock) -> None:
    server = Server()
    client = client_of(server, has_body=False)
    await client.refuse(NotFound("nothing here", param="model"))
    assert (server.status, client.status) == (404, 404)
    assert server.headers[b"content-type"] == b"application/json"
    assert server.json == {
        "error": {
            "message": "nothing here",
            "type": "invalid_request_error",
            "param": "model",
            "code": "not_found",
        }
    }


# Refusing before the body has been read...


async def test_an_early_refusal_takes_the_rest_of_the_body(autojump_clock: MockClock) -> None:
    rest = [(0.1, piece(b"x" * 1000, more=True))] * 12
    server = Server(*rest, (0.1, piece()))
    await client_of(server).refuse(NotFound("no"))
    # The answer goes out at once, its end when the body has ended.
    assert [at for at, _ in server.sent] == pytest.approx([0, 0, 1.3])
    assert server.headers[b"connection"] == b"close"
    assert server.received == 13
    assert server.complete


async def test_the_rest_of_a_body_is_taken_for_a_moment_only(autojump_clock: MockClock) -> None:
    server = Server(*[(0.5, piece(b"x", more=True))] * 100)
    await client_of(server).refuse(NotFound("no"))
    assert server.complete
    assert trio.current_time() == LINGER_SECONDS


async def test_the_rest_of_a_body_is_taken_up_to_a_size(autojump_clock: MockClock) -> None:
    size = LINGER_BYTES // 4
    server = Server(*[(0.1, piece(b"x" * size, more=True))] * 100)
    await client_of(server).refuse(NotFound("no"))
    assert server.complete
    assert trio.current_time() == pytest.approx(0.4)


async def test_while_the_end_is_sent_the_body_is_still_taken(autojump_clock: MockClock) -> None:
    # Hypercorn's queue would fill, and its own disconnect find no room in it.
    server = Server(*[(0.1, piece(b"x", more=True))] * 100, takes=3)
    await client_of(server).refuse(NotFound("no"))
    assert server.complete
    assert server.received >= 50


async def test_who_leaves_during_an_early_refusal_is_not_waited_for(
    autojump_clock: MockClock,
) -> None:
    server = Server((0.1, piece(b"x", more=True)), (0.1, DISCONNECT))
    await client_of(server).refuse(NotFound("no"))
    assert trio.current_time() == pytest.approx(0.2)
    assert server.complete


async def test_an_answer_that_is_cut_before_its_head_has_not_begun(
    autojump_clock: MockClock,
) -> None:
    # The limits of a shared store are asked over a network, and the request's time may be up.
    async def asked() -> list[tuple[bytes, bytes]]:
        await trio.sleep_forever()

    server = Server()
    client = client_of(server, has_body=False)
    client.carry(asked)
    with trio.move_on_after(1):
        await client.begin(200, [])
    begun = client.status
    assert begun is None
    await client.refuse(NotFound("too late"))
    assert client.status == 404


# What our own server tells...


class Served:
    """A request as `serve/cycle.py` tells of it."""

    def __init__(self, body: bytes | None = None) -> None:
        self.body = body
        self.parts: list[bytes] = []
        self.call: Callable[[Message], None] | None = None

    def take_arrived(self) -> bytes | None:
        body, self.body = self.body, None
        return body

    def when_gone(self, call: Callable[[Message], None] | None) -> None:
        self.call = call

    def send_part(self, body: bytes) -> bool | None:
        self.parts.append(body)
        return True

    def leave(self, **members: str) -> None:
        assert self.call is not None
        self.call({"type": "http.disconnect", **members})


def served_client(served: Served, *, length: int | None = 3, has_body: bool = True) -> AsgiClient:
    server = Server()
    return AsgiClient(
        *(server.receive, server.send, b"req_1", Lifecycle(), OPENAI_CHAT),
        has_body=has_body,
        content_length=length,
        served=served,
    )


@pytest.mark.parametrize(
    ("length", "limit", "taken"),
    [(3, 3, b"abc"), (3, 2, None), (None, 100, None), (1 << 20, 1 << 30, None)],
)
def test_a_short_body_that_has_arrived_is_handed_over(
    length: int | None, limit: int, taken: bytes | None
) -> None:
    client = served_client(Served(b"abc"), length=length)
    assert client.take_arrived(limit) == taken
    assert client.when_gone(lambda _: None) == (taken is not None)


def test_a_body_is_handed_over_once() -> None:
    client = served_client(Served(b"abc"))
    assert client.take_arrived(3) == b"abc"
    assert client.take_arrived(3) is None


def test_other_servers_do_not_tell() -> None:
    client = client_of(Server(), content_length=3)
    assert client.take_arrived(3) is None
    assert not client.when_gone(lambda _: None)
    client.stay()


@pytest.mark.parametrize(
    ("begun", "members", "error"),
    [
        (False, {}, ClientGone),
        (True, {}, ClientGone),
        (False, {"stalled": "took nothing"}, ClientGone),
        (True, {"stalled": "took nothing"}, SendStalled),
    ],
)
async def test_leaving_is_told_as_wait_gone_tells_it(
    begun: bool, members: dict[str, str], error: type[Exception], autojump_clock: MockClock
) -> None:
    served = Served()
    client = served_client(served, has_body=False)
    told: list[Exception] = []
    assert client.when_gone(told.append)
    if begun:
        await client.begin(200, ())
    served.leave(**members)
    assert [type(each) for each in told] == [error]
    client.stay()
    assert served.call is None


async def test_an_end_behind_the_last_message_is_not_told(autojump_clock: MockClock) -> None:
    served = Served()
    client = served_client(served, has_body=False)
    told: list[Exception] = []
    assert client.when_gone(told.append)
    await client.reply(200, (), b"all")
    served.leave()
    assert told == []


def test_parts_that_need_no_wait_go_past_asgi() -> None:
    served = Served()
    client = served_client(served)
    assert client.send_part is not None
    assert client.send_part(b"data: 1\n\n")
    assert served.parts == [b"data: 1\n\n"]
    server = Server()
    assert AsgiClient(server.receive, server.send, b"1", Lifecycle(), OPENAI_CHAT).send_part is None
