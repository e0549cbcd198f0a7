"""Access tokens: fetched over TCP, shown to the provider, renewed, and done without."""

from __future__ import annotations

import errno
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.routing.causes import Cause
from gateway.process import credentials as module
from gateway.process.credentials import Credentials, RefreshedToken
from gateway.providers.kind import Place
from gateway.providers.registry import KINDS
from gateway.providers.settings import ClientCredentials, Provider
from gateway.proxy.attempts.attempt import PreparedCall, SizeLimits, attempt_stream
from gateway.proxy.outcomes import Committed, Failed
from gateway.transport_errors import CredentialUnavailable, LocalShortage
from gateway.upstream.http_client import http_client
from gateway.upstream.transport import Transport

from ..providers.kinds.described import TERMS
from ..proxy.world import World
from ..upstream.servers import Server, read_request, serving

EVENT = (
    b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"hi"},'
    b'"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)


async def test_a_shortage_of_ours_refuses_no_key(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(trio, "open_tcp_stream", refuse)
    credentials = ClientCredentials(
        token_url="http://127.0.0.1:9/token", client_id="gate", client_secret="s3"
    )
    token = RefreshedToken(credentials, lambda: http_client(Transport()), half)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(token.run)
        with pytest.raises(LocalShortage, match="Too many open files"):
            await token.get()
        nursery.cancel_scope.cancel()


def half() -> float:
    return 0.5


class TokenServer:
    """Answers token requests from `answers`, the last of them again and again."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.asked: list[bytes] = []
        self.seen: list[bytes] = []

    async def handle(self, stream: trio.abc.Stream) -> None:
        while request := await read_request(stream):
            if request.startswith(b"POST /token "):
                self.asked.append(request)
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                await stream.send_all(answer)
            else:
                self.seen.append(request)
                await self.reply(stream, request)

    async def reply(self, stream: trio.abc.Stream, request: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        await stream.send_all(head + b"content-length: %d\r\n\r\n" % len(EVENT) + EVENT)


def token_answer(value: str, seconds: float) -> bytes:
    body = b'{"access_token":"%b","expires_in":%g}' % (value.encode(), seconds)
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


REFUSED = b'HTTP/1.1 401 X\r\ncontent-length: 26\r\n\r\n{"error":"invalid_client"}'


def oauth(server: Server) -> ClientCredentials:
    return ClientCredentials(
        token_url=f"http://127.0.0.1:{server.port}/token", client_id="gate", client_secret="s3"
    )


@asynccontextmanager
async def refreshed(tokens: TokenServer) -> AsyncIterator[tuple[RefreshedToken, Server, Transport]]:
    async with serving(tokens.handle) as server, trio.open_nursery() as nursery:
        transport = Transport()
        client = http_client(transport)
        token = RefreshedToken(oauth(server), lambda: client, half)
        nursery.start_soon(token.run)
        yield token, server, transport
        nursery.cancel_scope.cancel()
    await transport.aclose()


async def test_a_call_carries_the_token() -> None:
    tokens = TokenServer(token_answer("fresh", 3600))
    async with refreshed(tokens) as (token, server, transport):
        base = f"http://127.0.0.1:{server.port}/v1"
        provider = Provider(kind="openai", base_url=base, oauth=oauth(server))
        deployment = KINDS["openai"].describe("p", provider, Place(base, b"g", token), TERMS)
        call = deployment.call(b"{}", b"req_1", stream=True)
        prepared = PreparedCall(call, deployment, deployment.credentials[0])
        request = OPENAI_CHAT.read_request(b'{"model":"m","stream":true}')
        rewriter = request.start_stream(deployment, b'"m"', 1 << 20)
        outcome = await attempt_stream(transport, prepared, rewriter, SizeLimits(1 << 20, 1 << 20))
        assert isinstance(outcome, Committed)
        await outcome.response.aclose()
        assert b"\r\nauthorization: Bearer fresh\r\n" in tokens.seen[0]
        # And what a provider quotes of it would be taken out.
        assert outcome.mask is not None
        assert outcome.mask.error(b"fresh is no good") == b"*** is no good"
        assert tokens.asked[0].count(b"authorization: Basic Z2F0ZTpzMw==") == 1
        assert tokens.asked[0].endswith(b"grant_type=client_credentials")


# A provider that takes a token no more...


OLD = token_answer("old", 3600)
NEW = token_answer("new", 3600)


class Choosy(TokenServer):
    """A provider that takes the tokens in `taken` only."""

    def __init__(self, *answers: bytes, taken: Sequence[str]) -> None:
        super().__init__(*answers)
        self.taken = [*taken]

    async def reply(self, stream: trio.abc.Stream, request: bytes) -> None:
        if any(b"Bearer %b\r\n" % each.encode() in request for each in self.taken):
            await super().reply(stream, request)
        else:
            body = b'{"error":{"message":"expired","code":"invalid_api_key"}}'
            head = b"HTTP/1.1 401 X\r\ncontent-length: %d\r\n\r\n" % len(body)
            await stream.send_all(head + body)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers", "taken", "end"),
    [
        ([NEW], ["new"], "ok"),
        # The next is refused as well: it is not the token's age.
        ([NEW], [], "auth_failed"),
        # An endpoint that gives out the same one again.
        ([OLD], [], "auth_failed"),
        # And one that has none at the moment.
        ([REFUSED], [], "auth_failed"),
    ],
    ids=["the next is taken", "no token is taken", "the same again", "no other"],
)
async def test_a_token_that_is_refused_is_replaced_once(
    monkeypatch: pytest.MonkeyPatch, answers: list[bytes], taken: list[str], end: str
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 2.0)
    tokens = Choosy(OLD, *answers, taken=taken)
    async with refreshed(tokens) as (token, server, transport):
        assert await token.get() == b"old"
        token._fetched_at -= module.YOUNG
        base = f"http://127.0.0.1:{server.port}/v1"
        provider = Provider(kind="openai", base_url=base, oauth=oauth(server))
        deployment = KINDS["openai"].describe("p", provider, Place(base, b"g", token), TERMS)
        world = World([], routes=[deployment])
        world.upstream = transport  # type: ignore[assignment]
        await world.exchange()
        assert world.causes == ["stale_credential", end]
        # One that gives none is asked again while the request waits.
        assert len(tokens.asked) == 2 or answers == [REFUSED]
        # That it was not taken once says nothing of a key, that none is does.
        usable = next(iter(world.state.health.targets)).keyring.usable(trio.current_time())
        assert usable == (len(tokens.seen) < 2 or end == "ok")


async def test_all_requests_with_an_old_token_have_one_fetched(autojump_clock: MockClock) -> None:
    class Counted:
        count = 0

        @asynccontextmanager
        async def stream(self, *_: object, **__: object) -> AsyncIterator[httpx.Response]:
            self.count += 1
            await trio.sleep(1)
            answer = token_answer(f"token {self.count}", 3600).replace(b"token ", b"t")
            yield httpx.Response(200, extensions={"transport_response": Whole(answer)})

    class Whole:
        def __init__(self, answer: bytes) -> None:
            self.pieces = [answer.partition(b"\r\n\r\n")[2], b""]

        async def receive_some(self) -> bytes:
            return self.pieces.pop(0)

    credentials = ClientCredentials(token_url="http://h/", client_id="i", client_secret="s")
    endpoint = Counted()
    token = RefreshedToken(credentials, lambda: endpoint, half)  # type: ignore[arg-type, return-value]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(token.run)
        assert await token.get() == b"t1"
        # Just fetched: another would be no better.
        assert not token.refused(b"t1")
        await trio.sleep(module.YOUNG)
        assert [token.refused(b"t1") for _ in range(20)] == [True] * 20
        assert await token.get() == b"t2"
        assert token.refused(b"t1")
        assert not token.refused(b"t2")
        assert endpoint.count == 2
        nursery.cancel_scope.cancel()


async def test_providers_that_trust_differently_have_tokens_of_their_own() -> None:
    async with trio.open_nursery() as nursery:
        found = Credentials(lambda: http_client(Transport()), half, nursery)
        credentials = ClientCredentials(
            token_url="https://127.0.0.1:9/token", client_id="gate", client_secret="s3"
        )
        one, other = (
            Provider(kind="openai", base_url="http://h/v1", oauth=credentials, ca_file=each)
            for each in ("/one.pem", None)
        )
        found.start({"one": one, "other": other, "third": one})
        assert found.token(one) is not found.token(other)
        found.stop_old({})
        nursery.cancel_scope.cancel()


async def test_a_token_is_renewed_before_it_ends() -> None:
    tokens = TokenServer(token_answer("one", 0.4), token_answer("two", 3600))
    async with refreshed(tokens) as (token, _, _):
        assert await token.get() == b"one"
        with trio.fail_after(10):
            while await token.get() != b"two":  # noqa: ASYNC110  # the clock tells
                await trio.sleep(0.01)
        assert len(tokens.asked) == 2


async def test_a_refusal_is_tried_again_and_requests_wait_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT", 0.05)
    tokens = TokenServer(REFUSED, REFUSED, token_answer("late", 3600))
    async with refreshed(tokens) as (token, _, _):
        assert await token.get() == b"late"
        assert len(tokens.asked) == 3


async def test_without_a_token_an_attempt_fails_and_names_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    tokens = TokenServer(REFUSED)
    async with refreshed(tokens) as (token, server, transport):
        base = f"http://127.0.0.1:{server.port}/v1"
        provider = Provider(kind="openai", base_url=base, oauth=oauth(server))
        deployment = KINDS["openai"].describe("p", provider, Place(base, b"g", token), TERMS)
        call = deployment.call(b"{}", b"req_1", stream=True)
        request = OPENAI_CHAT.read_request(b'{"model":"m","stream":true}')
        rewriter = request.start_stream(deployment, b'"m"', 1 << 20)
        outcome = await attempt_stream(
            transport,
            PreparedCall(call, deployment, deployment.credentials[0]),
            rewriter,
            SizeLimits(1 << 20, 1 << 20),
        )
        assert isinstance(outcome, Failed)
        assert outcome.cause is Cause.AUTH_FAILED
        assert outcome.message == "no access token: the token endpoint answers 401: invalid_client"
        assert tokens.seen == []


async def test_a_silent_endpoint_costs_its_deadline(autojump_clock: MockClock) -> None:
    class Silent:
        @asynccontextmanager
        async def stream(self, *_: object, **__: object) -> AsyncIterator[None]:
            await trio.sleep(math.inf)
            yield

    credentials = ClientCredentials(token_url="http://h/", client_id="i", client_secret="s")
    token = RefreshedToken(credentials, Silent, half)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(token.run)
        with pytest.raises(CredentialUnavailable, match="no token yet"):
            await token.get()
        assert trio.current_time() == module.PATIENCE
        await trio.sleep(10)
        with pytest.raises(CredentialUnavailable, match="says nothing for 10 s"):
            await token.get()
        nursery.cancel_scope.cancel()


async def test_a_token_that_has_ended_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    tokens = TokenServer(token_answer("short", 0.2), REFUSED)
    async with refreshed(tokens) as (token, _, _):
        assert await token.get() == b"short"
        await trio.sleep(0.4)
        with pytest.raises(CredentialUnavailable, match="401"):
            await token.get()


async def test_tokens_follow_the_configuration() -> None:
    tokens = TokenServer(token_answer("t", 3600))
    async with serving(tokens.handle) as server, trio.open_nursery() as nursery:
        transport = Transport()
        client = http_client(transport)
        found = Credentials(lambda: client, half, nursery)
        keyed = Provider(kind="openai", base_url="http://h/v1", api_key="k")
        named = Provider(kind="openai", base_url="http://h/v1", oauth=oauth(server))
        found.start({"a": keyed, "b": named, "c": named})
        assert found.token(keyed) is None
        shared = found.token(named)
        assert shared is not None
        assert await shared.get() == b"t"
        found.start({"b": named})
        found.stop_old({"b": named})
        assert found.token(named) is shared
        assert len(tokens.asked) == 1
        found.start({"a": keyed})
        found.stop_old({"a": keyed})
        await trio.testing.wait_all_tasks_blocked()
        assert [task for task in nursery.child_tasks if "token" in task.name] == []
        # Whoever still has it is served until it ends.
        assert await shared.get() == b"t"
        nursery.cancel_scope.cancel()
    await transport.aclose()


async def test_clocks_that_were_moved_cost_one_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    # A machine that was suspended: Trio's clock has stood still, the token has expired.
    tokens = TokenServer(token_answer("one", 3600), token_answer("two", 90_000))
    async with refreshed(tokens) as (token, _, _):
        assert await token.get() == b"one"
        later = time.time() + 7200
        monkeypatch.setattr("gateway.process.credentials.time.time", lambda: later)
        assert await token.get() == b"two"
        assert len(tokens.asked) == 2


async def test_nobody_waits_for_a_fetch_that_is_far_away(autojump_clock: MockClock) -> None:
    class Empty:
        async def receive_some(self) -> bytes:
            return b""

    class Refusing:
        @asynccontextmanager
        async def stream(self, *_: object, **__: object) -> AsyncIterator[httpx.Response]:
            yield httpx.Response(503, extensions={"transport_response": Empty()})

    credentials = ClientCredentials(token_url="http://h/", client_id="i", client_secret="s")
    token = RefreshedToken(credentials, Refusing, half)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(token.run)
        await trio.sleep(30)
        with pytest.raises(CredentialUnavailable, match="503"):
            await token.get()
        assert trio.current_time() == 30
        nursery.cancel_scope.cancel()


async def test_a_mistake_in_the_task_ends_nothing(autojump_clock: MockClock) -> None:
    class Odd:
        async def post(self, *_: object, **__: object) -> httpx.Response:
            raise LookupError("not foreseen")

    provider = Provider(
        kind="openai",
        oauth=ClientCredentials(token_url="http://h/", client_id="i", client_secret="s"),
    )
    async with trio.open_nursery() as nursery:
        found = Credentials(Odd, half, nursery)  # type: ignore[arg-type]
        found.start({"p": provider})
        # It is started again each second.
        await trio.sleep(1.5)
        found.stop_old({})
        with trio.fail_after(30):
            while nursery.child_tasks:  # noqa: ASYNC110  # it ends, and says so to nobody
                await trio.sleep(0.01)


async def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.5)

    async def handler(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await stream.send_all(b" " * 65536)

    async with serving(handler) as server, trio.open_nursery() as nursery:
        transport = Transport()
        client = http_client(transport)
        token = RefreshedToken(oauth(server), lambda: client, half)
        nursery.start_soon(token.run)
        with pytest.raises(CredentialUnavailable, match=r"has no token|no token yet"):
            await token.get()
        with trio.fail_after(30):
            while "has no token" not in repr(token):  # noqa: ASYNC110  # the repr tells
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    await transport.aclose()
