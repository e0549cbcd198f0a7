"""Scripts of both sides of the proxy: what providers answer and what callers do, and when.

Not mocks: a script plays itself, in time, against the code under test, notes what it saw with
the (virtual) time, and at the end checks that the contract of `proxy/protocols.py` was kept.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Awaitable, Callable, Container, Iterable, Sequence
from typing import Any, Final

import msgspec
import trio

from gateway.core.dialects.openai_chat.errors import error_reply
from gateway.core.routing.call import BodySource, Call
from gateway.core.wire.binary.socket_frames import SocketRefused
from gateway.errors import BodyTimeout, BodyTooLarge, ClientGone, GatewayError, SendStalled
from gateway.proxy.protocols import HeaderPairs
from gateway.transport_errors import ConnectTimeout, UpstreamFailure


class Mark(enum.Enum):
    EOF = "eof"  # the body ends as it should
    STALL = "stall"  # nothing more, ever


EOF: Final = Mark.EOF
STALL: Final = Mark.STALL

JSON: Final = (b"content-type", b"application/json")
EVENTS: Final = (b"content-type", b"text/event-stream")


class Head(msgspec.Struct, frozen=True):
    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = (EVENTS,)


# Seconds after the previous step, and what then happens. A step is due whether anyone reads or
# not, as in life: who comes late finds it waiting.
Step = tuple[float, Head | bytes | Exception | Mark]


class Play(msgspec.Struct, frozen=True):
    """What one call to `provider` gets. `connect` is how long connecting takes, in seconds."""

    provider: str
    steps: Sequence[Step]
    connect: float = 0.0


class ScriptedResponse:
    def __init__(self, play: Play, head: Head, due: float, faults: list[str]) -> None:
        self.status = head.status
        self.headers: HeaderPairs = head.headers
        self.taken: list[tuple[float, bytes]] = []
        self.ended = False
        self.closed_at: float | None = None
        self._steps = list(play.steps[1:])
        self._due = due
        self._faults = faults
        self._spent = False  # failed or cancelled: only `aclose` is left to do
        self._busy = False

    def __repr__(self) -> str:
        return f"<ScriptedResponse {self.status}, {len(self._steps)} steps left>"

    async def receive_some(self) -> bytes:
        if self.closed_at is not None or self._spent or self._busy:
            self._faults.append("read a response that was closed, spent or busy")
            raise trio.ClosedResourceError
        self._busy = True
        try:
            return await self._next()
        except BaseException:
            self._spent = True
            raise
        finally:
            self._busy = False

    async def aclose(self) -> None:
        if self.closed_at is None:
            self.closed_at = trio.current_time()

    @property
    def kept(self) -> bool:
        """Say whether the connection could be used again."""
        return self.ended and not self._spent

    async def _next(self) -> bytes:
        if self.ended:
            return b""
        if not self._steps:
            self._faults.append("a script has no end: EOF, STALL or a failure")
        delay, what = self._steps[0]
        if what is STALL:
            await trio.sleep_forever()
        self._due += delay
        await trio.sleep_until(self._due)
        del self._steps[0]
        if isinstance(what, Exception):
            raise what
        if what is EOF:
            self.ended = True
            return b""
        assert isinstance(what, bytes)
        self.taken.append((trio.current_time(), what))
        return what


class ScriptedUpstream:
    """Plays `plays`, one a call, in order, and keeps the calls."""

    def __init__(self, plays: Iterable[Play]) -> None:
        self.calls: list[tuple[float, Call]] = []
        self.responses: list[ScriptedResponse] = []
        self.faults: list[str] = []
        self._plays = list(plays)

    async def request(self, call: Call) -> ScriptedResponse:
        at = trio.current_time()
        self.calls.append((at, call))
        if len(self.calls) > len(self._plays):
            self.faults.append(f"call {len(self.calls)} is in no script")
            raise AssertionError(self.faults[-1])
        play = self._plays[len(self.calls) - 1]
        if call.origin.host != play.provider:
            self.faults.append(f"{call.origin.host} was called, {play.provider} expected")
        seconds = call.connect_timeout or math.inf
        with trio.move_on_after(seconds) as connecting:
            await trio.sleep(play.connect)
        if connecting.cancelled_caught:
            raise ConnectTimeout(f"no connection within {seconds:g} s")
        delay, head = play.steps[0]
        await trio.sleep(math.inf if head is STALL else delay)
        if isinstance(head, Exception):
            raise head
        assert isinstance(head, Head)
        response = ScriptedResponse(play, head, trio.current_time(), self.faults)
        self.responses.append(response)
        return response

    async def upload(
        self, call: Call, body: BodySource, *, upload_nursery: trio.Nursery
    ) -> ScriptedResponse:
        """Take the whole body, then answer."""
        pieces = []
        while piece := await body.receive_some():
            pieces.append(piece)
        return await self.request(msgspec.structs.replace(call, body=b"".join(pieces)))

    async def connect(self, call: Call, subprotocols: tuple[str, ...], most: int) -> SocketRefused:
        """Open no WebSocket."""
        await trio.lowlevel.checkpoint()
        return SocketRefused(404, [], b"")

    @property
    def called(self) -> list[tuple[float, str]]:
        """Return when which provider was called."""
        return [(at, call.origin.host) for at, call in self.calls]

    def check(self, *, all_played: bool = True) -> None:
        """Hold the contract: all responses closed, all scripts played, nothing misused."""
        assert not self.faults, self.faults
        for response in self.responses:
            assert response.closed_at is not None, f"{response} was never closed"
        if all_played:
            assert len(self.calls) == len(self._plays), f"played: {self.called}"


class ScriptedClient:
    """A caller: sends `body`, reads the answer, leaves.

    body_at     when the body has arrived, in seconds from the start
    leaves_at   when it closes its connection
    pauses      by number of the write (the head is 0): how long it takes to read it
    stalls      the number of the write after which it reads nothing for `send_timeout`
    tears       the numbers of the writes of which its socket takes a half without a wait
    """

    # Whether it takes what needs no wait from whoever has it.
    takes_parts = True

    def __init__(
        self,
        body: bytes,
        *,
        body_at: float = 0.0,
        leaves_at: float = math.inf,
        pauses: dict[int, float] | None = None,
        stalls: int | None = None,
        send_timeout: float = 30.0,
        tears: Container[int] = (),
    ) -> None:
        self.status: int | None = None
        self.headers: dict[bytes, bytes] = {}
        self.sent: list[tuple[float, bytes]] = []
        self.finished_at: float | None = None
        self.refused: GatewayError | None = None
        self.writes = 0
        self.faults: list[str] = []
        self._body = body
        self._body_at = body_at
        self._leaves_at = leaves_at
        self._pauses = pauses or {}
        self._stalls = math.inf if stalls is None else stalls
        self._send_timeout = send_timeout
        self._tears = tears
        self._torn = b""
        if not self.takes_parts:
            self.send_part = None  # type: ignore[method-assign, assignment]
        self._carried: Callable[[], Awaitable[HeaderPairs]] | None = None
        self._left = trio.Event()
        self.sealed = False  # the last write has begun
        self._busy = False

    def __repr__(self) -> str:
        return f"<ScriptedClient {self.status} {self.text!r}>"

    @property
    def text(self) -> bytes:
        return b"".join(data for _, data in self.sent)

    @property
    def error(self) -> dict[str, Any]:
        """Return the error object of a refusal."""
        found: dict[str, Any] = msgspec.json.decode(self.text)["error"]
        return found

    def leave(self) -> None:
        """Close the connection now."""
        self._left.set()

    def carry(self, headers: Callable[[], Awaitable[HeaderPairs]]) -> None:
        self._carried = headers

    async def read_body(self, limit: int, seconds: float) -> bytes:
        if len(self._body) > limit:
            raise BodyTooLarge(f"the body is larger than {limit} bytes")
        gone = False
        with trio.move_on_after(seconds) as scope:
            async with trio.open_nursery() as nursery:

                async def watch() -> None:
                    nonlocal gone
                    await self._wait_left()
                    gone = True
                    nursery.cancel_scope.cancel("left")

                nursery.start_soon(watch)
                await trio.sleep_until(self._body_at)
                nursery.cancel_scope.cancel("read")
        if gone:
            raise ClientGone
        if scope.cancelled_caught:
            raise BodyTimeout(f"the body did not arrive within {seconds:g} s")
        return self._body

    async def wait_gone(self) -> None:
        await self._wait_left()
        if self.sealed:
            await trio.sleep_forever()

    async def begin(self, status: int, headers: HeaderPairs) -> None:
        if self.status is not None:
            self.faults.append(f"began with {status} after {self.status}")
        await self._write()
        carried = () if self._carried is None else await self._carried()
        self.status, self.headers = status, {**dict(carried), **dict(headers)}

    async def send(self, data: bytes) -> None:
        if self.status is None:
            self.faults.append("sent before the head")
        if self.sealed:
            self.faults.append("sent after the end")
        if not data and not self._torn:
            self.faults.append("sent nothing")
        await self._write()
        self._show(data)

    def send_part(self, data: bytes) -> bool | None:
        if self.status is None or self.sealed or not data:
            self.faults.append("sent a part before the head, after the end, or of nothing")
        if self._busy:
            self.faults.append("sent a part in the middle of a write")
        if self._torn or self.writes >= self._stalls or self.writes in self._pauses:
            return None
        number, self.writes = self.writes, self.writes + 1
        if number in self._tears:
            half = len(data) // 2
            self._show(data[:half])
            self._torn = data[half:]
            return False
        self._show(data)
        return True

    def _show(self, data: bytes) -> None:
        data, self._torn = self._torn + data, b""
        self.sent.append((trio.current_time(), data))

    async def keep_alive(self, data: bytes) -> None:
        await self.send(data)

    async def finish(self, data: bytes) -> None:
        if self.status is None or self.sealed:
            self.faults.append("finished before the head, or twice")
        self.sealed = True
        await self._write()
        self._show(data)
        self.finished_at = trio.current_time()

    async def reply(self, status: int, headers: HeaderPairs, body: bytes) -> None:
        await self.begin(status, (*headers, (b"content-length", b"%d" % len(body))))
        await self.finish(body)

    async def refuse(self, error: GatewayError) -> None:
        self.refused = error
        headers, body = error_reply(error)
        await self.begin(error.status, headers)
        await self.finish(body)

    def check(self) -> None:
        assert not self.faults, self.faults

    async def _wait_left(self) -> None:
        with trio.CancelScope(deadline=self._leaves_at):
            await self._left.wait()

    async def _write(self) -> None:
        if self._busy:
            self.faults.append("two writes at once")
        self._busy = True
        try:
            number, self.writes = self.writes, self.writes + 1
            if number >= self._stalls:
                await trio.sleep(self._send_timeout)
                raise SendStalled(f"the client took nothing for {self._send_timeout:g} s")
            await trio.sleep(self._pauses.get(number, 0.0))
        finally:
            self._busy = False


# What providers say...


def chunk(content: str | None = None, *, finish: str | None = None, usage: object = None) -> bytes:
    """Return one event of a chat completion stream."""
    delta = {"content": content} if content is not None else {}
    fields: dict[str, Any] = {
        "id": "c1",
        "model": "real",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    if usage is not None:
        fields["usage"] = usage
    return b"data: " + msgspec.json.encode(fields) + b"\n\n"


ROLE: Final = b'data: {"model":"real","choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n'
STOP: Final = chunk(finish="stop")
DONE: Final = b"data: [DONE]\n\n"
USAGE: Final = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "prompt_tokens_details": {"cached_tokens": 40},
    "completion_tokens_details": {"reasoning_tokens": 5},
}
TOTALS: Final = b'data: {"model":"real","choices":[],"usage":%b}\n\n' % msgspec.json.encode(USAGE)


def ok(text: str = "hi", *, after: float = 0.0) -> list[Step]:
    """Return a whole stream that begins `after` seconds."""
    return [(after, Head()), (0, chunk(text)), (0, STOP), (0, TOTALS), (0, DONE), (0, EOF)]


def answer(text: str = "hi", *, after: float = 0.0, usage: bool = True) -> list[Step]:
    """Return a whole answer that is no stream."""
    message = {"role": "assistant", "content": text}
    found = {"model": "real", "choices": [{"index": 0, "message": message}], "usage": USAGE}
    if not usage:
        del found["usage"]
    body = msgspec.json.encode(found)
    return [(after, Head(200, (JSON,))), (0, body), (0, EOF)]


def status(
    code: int,
    *headers: tuple[bytes, bytes],
    after: float = 0.0,
    body: bytes = b'{"error":{"message":"no"}}',
) -> list[Step]:
    return [(after, Head(code, (JSON, *headers))), (0, body), (0, EOF)]


def fails(error: UpstreamFailure, *, after: float = 0.0) -> list[Step]:
    return [(after, error)]


SILENCE: Final[list[Step]] = [(0, STALL)]
