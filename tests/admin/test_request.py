"""What handlers of the admin API are given of a request's body."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
import trio
from starlette.responses import Response
from trio.testing import MockClock

from gateway.admin.request import AdminRequest, encoded, json_answer
from gateway.admin.route import BODY_BYTES, AdminRoute
from tests.api.asgi import Server, piece

from .world import World

FORM = b"application/x-www-form-urlencoded"
CHUNKED = {b"transfer-encoding": b"chunked"}


class Limits(msgspec.Struct, forbid_unknown_fields=True):
    rpm: int


class Token(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    models: list[str] = []
    limits: Limits | None = None
    anything: Any = None


async def from_json(request: AdminRequest) -> Response:
    return encoded(await request.json(Token))


async def from_form(request: AdminRequest) -> Response:
    return encoded(await request.form())


async def from_starlette(request: AdminRequest) -> Response:
    """Use what Starlette's own request offers, twice."""
    assert await request.http.body() == await request.http.body()
    return encoded(await request.http.json())


async def length(request: AdminRequest) -> Response:
    return encoded(len(await request.http.body()))


ROUTES = [
    AdminRoute("POST", "json", from_json),
    AdminRoute("POST", "form", from_form),
    AdminRoute("POST", "starlette", from_starlette),
    AdminRoute("POST", "length", length),
    AdminRoute("POST", "short", length, 10),
    AdminRoute("POST", "long/{id:path}", length, 2 * BODY_BYTES),
    AdminRoute("GET", "get", length),
]


async def post(
    path: str,
    *parts: bytes,
    method: str = "POST",
    headers: dict[bytes, bytes] | None = None,
    announced: bool = True,
) -> Server:
    """Send a body in `parts`, a second apart, with its length or in chunks."""
    world = World(routes=ROUTES)
    events = [(1.0, piece(part, more=part is not parts[-1])) for part in parts]
    framing = {b"content-length": b"%d" % sum(map(len, parts))} if announced else CHUNKED
    server = Server(*(events or [(0.0, piece())]))
    await world.call(
        path, method, headers={**(headers or {}), **(framing if parts else {})}, server=server
    )
    return server


def error(server: Server) -> dict[str, Any]:
    assert server.status == 400
    found: dict[str, Any] = server.json["error"]
    assert set(found) == {"message", "type", "param", "code"}
    assert (found["type"], found["code"]) == ("invalid_request_error", "invalid_request")
    return found


@pytest.mark.parametrize("announced", [True, False], ids=["length", "chunked"])
@pytest.mark.parametrize("path", ["json", "starlette"])
async def test_json_arrives_in_one_piece_or_in_several(
    path: str, announced: bool, autojump_clock: MockClock
) -> None:
    sent = b'{"name":"caf\xc3\xa9","models":["a","b"],"limits":{"rpm":7},"anything":null}'
    for cut in (0, 1, 14, len(sent) - 1):
        parts = [part for part in (sent[:cut], sent[cut:]) if part]
        server = await post(path, *parts, announced=announced)
        assert (server.status, server.body) == (200, sent)


@pytest.mark.parametrize(
    ("sent", "param", "says"),
    [
        (b'{"models":[]}', "name", "name: Object missing required field `name`."),
        (b'{"name":7}', "name", "name: Expected `str`, got `int`."),
        (b'{"name":"x","models":["a",7]}', "models[1]", "models[1]: Expected `str`, got `int`."),
        (b'{"name":"x","limits":{}}', "limits.rpm", "limits.rpm: Object missing"),
        (b'{"name":"x","limits":{"rpm":"a"}}', "limits.rpm", "limits.rpm: Expected `int`"),
        (b'{"name":"x","mdoels":[]}', "mdoels", "mdoels: Object contains unknown field"),
        (b"[]", None, "The body: Expected `object`, got `array`."),
        (b"{", None, "The body is not valid JSON: "),
        (b'{"name":"\xff"}', None, "The body is not valid JSON: "),
        (b'{"name":"x","anything":' + b"[" * 50_000, None, "The body is not valid JSON: "),
    ],
)
async def test_json_that_is_wrong_says_where(
    sent: bytes, param: str | None, says: str, autojump_clock: MockClock
) -> None:
    found = error(await post("json", sent))
    assert found["param"] == param
    assert found["message"].startswith(says)


async def test_no_body_is_no_json() -> None:
    assert error(await post("json"))["message"].startswith("The body is not valid JSON")


@pytest.mark.parametrize("kind", [FORM, FORM + b"; charset=UTF-8", FORM.upper()])
async def test_a_form_as_browsers_send_it(kind: bytes, autojump_clock: MockClock) -> None:
    fields = [("name", "a b&c=d"), ("city", "Zürich +1"), ("model", "a"), ("model", "b"), ("x", "")]
    sent = urlencode(fields).encode()
    server = await post("form", sent[:7], sent[7:], headers={b"content-type": kind})
    assert server.status == 200
    assert server.json == {
        "name": ["a b&c=d"],
        "city": ["Zürich +1"],
        "model": ["a", "b"],
        "x": [""],
    }


async def test_a_form_without_fields(autojump_clock: MockClock) -> None:
    server = await post("form", headers={b"content-type": FORM})
    assert (server.status, server.json) == (200, {})


@pytest.mark.parametrize(
    ("kind", "sent", "says"),
    [
        (b"application/json", b"{}", "must be a form"),
        (b"multipart/form-data; boundary=x", b"--x--", "must be a form"),
        (FORM, b"a", "not a well-formed form"),
        (FORM, b"a=%ff", "not a well-formed form"),
        (FORM, b"a=\xff", "not a well-formed form"),
        (FORM, b"&".join([b"a="] * 1001), "not a well-formed form"),
    ],
)
async def test_what_is_no_form(
    kind: bytes, sent: bytes, says: str, autojump_clock: MockClock
) -> None:
    assert says in error(await post("form", sent, headers={b"content-type": kind}))["message"]


@pytest.mark.parametrize("announced", [True, False], ids=["length", "chunked"])
@pytest.mark.parametrize(
    ("path", "most"),
    [("length", BODY_BYTES), ("short", 10), ("long/a/b", 2 * BODY_BYTES)],
)
async def test_each_route_has_its_own_limit(
    path: str, most: int, announced: bool, autojump_clock: MockClock
) -> None:
    server = await post(path, b"x" * (most - 1), b"x", announced=announced)
    assert (server.status, server.json) == (200, most)
    server = await post(path, b"x" * most, b"x", announced=announced)
    assert (server.status, server.json["error"]["code"]) == (413, "request_too_large")


async def test_the_limit_of_a_path_without_a_route(autojump_clock: MockClock) -> None:
    assert (await post("nothing", b"x" * BODY_BYTES)).status == 404
    assert (await post("nothing", b"x" * (BODY_BYTES + 1))).status == 413
    # Of a path with one, but for another method: the same.
    assert (await post("short", b"x" * 11, method="PUT")).status == 405


async def test_a_body_that_does_not_end_is_not_waited_for(autojump_clock: MockClock) -> None:
    server = Server((0, piece(b"{", more=True)))
    await World(routes=ROUTES).call("json", "POST", headers=CHUNKED, server=server)
    assert (server.status, server.json["error"]["code"]) == (408, "request_timeout")
    assert trio.current_time() == pytest.approx(10.0, abs=3.0)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_request_without_a_body_has_an_empty_one(method: str) -> None:
    server = await post("get", method=method)
    assert server.status == 200
    assert server.headers[b"content-length"] == b"1"
    assert server.body in (b"0", b"")


async def test_a_handler_hears_that_the_caller_has_left(autojump_clock: MockClock) -> None:
    heard: list[str] = []

    async def waits(request: AdminRequest) -> Response:
        receive = request.http.receive
        heard.append((await receive())["type"])
        heard.append((await receive())["type"])
        await trio.sleep(1)
        heard.append("not cancelled")
        return json_answer(b"{}")

    world = World(routes=[AdminRoute("POST", "waits", waits)])
    server = Server((0, piece(b"{}")))
    async with trio.open_nursery() as nursery:
        headers = {b"content-length": b"2"}
        nursery.start_soon(lambda: world.call("waits", "POST", headers=headers, server=server))
        await trio.sleep(5)
        assert heard == ["http.request"]
        server.disconnect()
    assert heard == ["http.request", "http.disconnect"]
    assert server.sent == []
