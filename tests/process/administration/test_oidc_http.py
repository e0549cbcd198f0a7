"""Calls to the OpenID Connect provider, over TCP: what is sent, and answers that are none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from gateway.errors import ProvidersFailed
from gateway.process.administration import oidc_http
from gateway.process.administration.oidc_http import ProviderHttp
from gateway.upstream.http_client import http_client
from gateway.upstream.transport import Transport

from ...ports import lasting_port
from ...upstream.servers import Server, read_request, serving


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[tuple[ProviderHttp, Server, str]]:
    """A server that sends `answer` to each request; nothing at all if that is empty."""

    async def handle(stream: trio.abc.Stream) -> None:
        while request := await read_request(stream):
            server.requests.append(request)
            if answer:
                await stream.send_all(answer)
            else:
                await trio.sleep_forever()

    transport = Transport()
    client = http_client(transport)
    async with serving(handle) as server, trio.open_nursery() as nursery:
        yield ProviderHttp(lambda: client), server, f"http://127.0.0.1:{server.port}/token"
        await transport.aclose()
        nursery.cancel_scope.cancel()


def answer(body: bytes, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


async def test_a_form_with_name_and_secret() -> None:
    async with answering(answer(b"{}", 400)) as (http, server, url):
        assert await http("POST", url, {"code": "a b"}, ("my client", "s:3")) == (400, b"{}")
        (request,) = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /token HTTP/1.1\r\n")
    assert b"content-type: application/x-www-form-urlencoded" in head.lower()
    # "my%20client:s%3A3", so that a colon in the name does no harm.
    assert b"Basic bXklMjBjbGllbnQ6cyUzQTM=" in head
    assert body == b"code=a+b"


async def test_a_page_that_sends_elsewhere_is_not_followed() -> None:
    moved = b"HTTP/1.1 302 X\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
    async with answering(moved) as (http, server, url):
        assert await http("GET", url) == (302, b"")
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (answer(b"x" * (256 * 1024 + 1)), "the OpenID Connect provider's answer is too large"),
        (b"rubbish\r\n\r\n", "the OpenID Connect provider cannot be reached: "),
        (answer(b"{}")[:-1], "the OpenID Connect provider says nothing for 0.3 s"),
        (b"", "the OpenID Connect provider says nothing for 0.3 s"),
    ],
)
async def test_an_answer_that_is_none(
    monkeypatch: pytest.MonkeyPatch, given: bytes, why: str
) -> None:
    monkeypatch.setattr(oidc_http, "_SECONDS", 0.3)
    async with answering(given) as (http, _, url):
        with pytest.raises(ProvidersFailed) as caught:
            await http("GET", url)
    assert caught.value.message.startswith(why)
    assert caught.value.code == "oidc_failed"


@pytest.mark.parametrize("port", [None, "0", "x"])
async def test_a_provider_that_is_not_there(port: str | None) -> None:
    http = ProviderHttp(lambda: http_client(Transport()))
    with pytest.raises(ProvidersFailed) as caught:
        await http("GET", f"http://127.0.0.1:{port or lasting_port()}/x")
    assert caught.value.message.startswith("the OpenID Connect provider cannot be reached: ")
