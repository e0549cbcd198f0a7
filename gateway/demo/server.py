"""A small provider on loopback that speaks four APIs: a gateway answers before it has a key.

It is called like any other provider, over TCP and through the same transport. Its answers
depend on the question alone (but for `created`), one word a token, with real token counts.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Never

import h11
import msgspec
import trio

from . import gemini
from .chat import ChatAnswer, TextAnswer
from .messages import MessageAnswer, TokenCount
from .numbers import Embeddings, Moderations
from .reply import Reply, encode
from .responses import InputTokens, ResponseAnswer

MODELS: Final = ("demo", "demo-large")
MAX_BODY: Final = 4 * 1024 * 1024
# Seconds for a request to arrive once it has begun, and between requests: longer than any
# gateway keeps a connection, so that it is not we who close one that is about to be used.
REQUEST_TIME: Final = 10.0
IDLE_TIME: Final = 75.0

_log: Final = logging.getLogger(__name__)

# What answers a request to a path: its body, and the time in Unix seconds.
_ANSWERS: Final[Mapping[bytes, Callable[[bytes, int], Reply]]] = {
    b"/v1/chat/completions": ChatAnswer,
    b"/v1/responses": ResponseAnswer,
    b"/v1/responses/input_tokens": InputTokens,
    b"/v1/completions": TextAnswer,
    b"/v1/embeddings": Embeddings,
    b"/v1/moderations": Moderations,
    b"/v1/messages": MessageAnswer,
    b"/v1/messages/count_tokens": TokenCount,
}


def _answers_at(path: bytes) -> Callable[[bytes, int], Reply] | None:
    return _ANSWERS.get(path) or gemini.answers_at(path)


class _Refusal(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        self.body = encode({"error": error})


class _Peer:
    """One client's connection."""

    def __init__(
        self, stream: trio.SocketStream, token_interval: float, clock: Callable[[], float]
    ) -> None:
        self._stream = stream
        self._token_interval = token_interval
        self._clock = clock
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=16 * 1024)

    async def serve(self) -> None:
        """Answer requests until the client leaves, is too slow, or speaks something else."""
        async with self._stream:
            try:
                while await self._serve_one():
                    self._h11.start_next_cycle()
            except* (trio.BrokenResourceError, h11.LocalProtocolError):
                # Gone, in the middle of something; or it sent what h11 refuses to answer.
                pass
            except* Exception:  # noqa: BLE001
                # The gateway's own tasks are this task's neighbours: a fault in a demo must
                # not end them.
                _log.exception("the demo provider failed to answer")

    async def _serve_one(self) -> bool:
        try:
            request, body = await self._read()
            await self._answer(request, body)
        except (EOFError, trio.TooSlowError):
            return False
        except _Refusal as refusal:
            await self._send_whole(refusal.status, refusal.body)
        except h11.RemoteProtocolError as exc:
            wrong = _Refusal(exc.error_status_hint, "bad_request", "this is not HTTP/1.1")
            await self._send_whole(wrong.status, wrong.body)
        return self._h11.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}

    async def _read(self) -> tuple[h11.Request, bytes]:
        with trio.fail_after(IDLE_TIME) as scope:
            request: h11.Request | None = None
            body = bytearray()
            while True:
                event = self._h11.next_event()
                if event is h11.NEED_DATA:
                    self._h11.receive_data(await self._stream.receive_some())
                    began = trio.current_time()
                    scope.deadline = min(scope.deadline, began + REQUEST_TIME)
                elif isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    body += event.data
                    if len(body) > MAX_BODY:
                        raise _Refusal(413, "request_too_large", "the request is too large")
                elif isinstance(event, h11.EndOfMessage) and request is not None:
                    return request, bytes(body)
                else:
                    raise EOFError

    async def _answer(self, request: h11.Request, body: bytes) -> None:
        route = (request.method, request.target.partition(b"?")[0])
        if route == (b"GET", b"/v1/models"):
            models = [
                {"id": model, "object": "model", "created": 0, "owned_by": "demo"}
                for model in MODELS
            ]
            await self._send_whole(200, encode({"object": "list", "data": models}))
        elif request.method == b"POST" and (answers := _answers_at(route[1])) is not None:
            try:
                answer = answers(body, int(self._clock()))
            except (msgspec.MsgspecError, RecursionError) as exc:
                raise _Refusal(400, "invalid_json", f"the body is not a request: {exc}") from exc
            await self._unless_gone(partial(self._send_answer, answer))
        else:
            raise _Refusal(404, "not_found", "there is no such path at the demo provider")

    async def _send_answer(self, answer: Reply) -> None:
        if not answer.stream:
            await trio.sleep(self._token_interval * answer.pace)
            await self._send_whole(200, answer.whole())
            return
        headers = [
            ("content-type", "text/event-stream; charset=utf-8"),
            ("transfer-encoding", "chunked"),
        ]
        await self._send(h11.Response(status_code=200, headers=headers))
        due = trio.current_time()
        for event in answer.events():
            await self._send(h11.Data(data=event))
            due += self._token_interval
            await trio.sleep_until(due)
        await self._send(h11.EndOfMessage())

    async def _unless_gone(self, send: Callable[[], object]) -> None:
        """Run `send` while watching the client; stop it, and the connection, if it leaves."""
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                # One request after the other may come; what comes early waits in h11.
                for early in itertools.count():
                    data = await self._stream.receive_some()
                    if not data or early > 16:
                        break
                    self._h11.receive_data(data)
                nursery.cancel_scope.cancel("the client has left")

            nursery.start_soon(watch)
            await send()  # type: ignore[misc]
            nursery.cancel_scope.cancel("the answer is complete")

    async def _send_whole(self, status: int, body: bytes) -> None:
        headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
        if self._h11.their_state is not h11.DONE:
            # The rest of the request will not be read.
            headers.append(("connection", "close"))
        await self._send(
            h11.Response(status_code=status, headers=headers),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )

    async def _send(self, *events: h11.Event) -> None:
        if data := b"".join([self._h11.send(event) or b"" for event in events]):
            await self._stream.send_all(data)


async def serve_demo(
    *,
    token_interval: float = 0.02,
    clock: Callable[[], float] = time.time,
    listening: Callable[[int], object] = lambda port: None,
) -> Never:
    """Serve on a free port of 127.0.0.1 until cancelled; `listening` is told the port.

    `token_interval` is in seconds; `clock` gives `created`.
    """
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def handle(stream: trio.SocketStream) -> None:
        await _Peer(stream, token_interval, clock).serve()

    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, handle, listeners)
        listening(listeners[0].socket.getsockname()[1])
    raise AssertionError("serve_listeners returned")
