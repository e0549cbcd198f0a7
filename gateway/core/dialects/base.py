"""What a dialect is: an API that callers, providers or both speak.

    Dialect          reads requests and errors, writes errors, knows the bytes around a stream
    DialectRequest   one request, and how it goes to a deployment
    StreamRewriter   one stream: provider's bytes in, caller's bytes out
    Answer           one whole answer, rewritten

The proxy knows a dialect by these alone. The caller's side of an exchange asks the dialect of
its route: how an error looks, how a stream is kept alive. The provider's side asks the dialect
of the deployment: where a call goes, what an error says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from ...errors import GatewayError, MethodNotAllowed
from ..records.usage import Usage

HeaderList = list[tuple[bytes, bytes]]

# A stream that says nothing for so many bytes before its first meaningful event is let through:
# the provider is alive, and what is held back takes memory.
MAX_HELD: Final = 64 * 1024
# How a message ends that `read_error` has shortened.
CUT: Final = "..."


class NotAnAnswer(ValueError):
    """A 2xx body that is no answer.

    `error` is the error that it reports instead, as JSON. `final` says that the provider has
    generated an answer and would send another in the same form.
    """

    def __init__(self, message: str, *, error: bytes | None = None, final: bool = False) -> None:
        super().__init__(message)
        self.error = error
        self.final = final


class Answer(msgspec.Struct, frozen=True):
    """A whole answer as the caller gets it; `usage` None: the provider reported none.

    `text_tokens` is about how many tokens its text has, where the usage does not say it.
    """

    body: bytes
    usage: Usage | None
    text_tokens: int = 0


class ModelEntry(msgspec.Struct, frozen=True):
    """A model as lists show it. `created` is Unix time in seconds."""

    name: str
    created: int
    owner: str


class StreamRewriter(Protocol):
    """Rewrites one stream.

    After each `feed`: `meaningful` says whether content has come, `progressed` whether the
    provider has told before that how far it is, `done` whether it has said that the stream is
    over, `finished` whether all answers in it are complete. `said` counts what moves the answer
    on: content, ends and usage, and no comments or pings. A failed stream has the data of its
    error event in `error`, or in `broken` why it cannot be read any further. Nothing is read
    beyond `done`, `error` or `broken`.
    """

    meaningful: bool
    progressed: bool
    done: bool
    finished: bool
    said: int
    error: bytes | None
    broken: str | None
    events: int
    malformed: int

    @property
    def usage(self) -> Usage | None:
        """Return what the provider has reported so far; None: nothing."""
        ...

    @property
    def text_tokens(self) -> int:
        """Return about how many tokens the text has that has come so far."""
        ...

    @property
    def ended(self) -> bool:
        """Say whether there is nothing more to be had from the stream."""
        ...

    @property
    def awaits_usage(self) -> bool:
        """Say whether the provider was asked for usage and has not reported any yet."""
        ...

    def feed(self, chunk: bytes) -> bytes:
        """Return what the caller gets for `chunk`."""
        ...

    def feed_answer(self, body: bytes) -> bytes:
        """Return what the caller gets for a whole answer, which came instead of a stream.

        Raises NotAnAnswer.
        """
        ...

    def end(self) -> bytes:
        """Take note that the body has ended; return what the caller gets for an event that the
        end has completed. Idempotent."""
        ...

    def finish(self) -> bytes:
        """Return the bytes that make a whole stream complete; asked once, at its end."""
        ...


class Recipient(Protocol):
    """What a request has to know of the deployment that it goes to."""

    @property
    def model_json(self) -> bytes:
        """Return the provider's name of the model, as JSON."""
        ...

    @property
    def stream_usage(self) -> bool:
        """Say whether the provider can be asked for usage in its streams."""
        ...

    @property
    def dialect(self) -> Dialect: ...


class DialectRequest(Protocol):
    """What the gateway reads of one request, and what it makes of the rest.

    `name` is always the requested model's name as JSON.
    """

    @property
    def body(self) -> bytes: ...

    @property
    def model(self) -> str: ...

    @property
    def stream(self) -> bool: ...

    @property
    def user(self) -> str | None: ...

    @property
    def answer_tokens(self) -> int:
        """Return how many tokens the caller allows the whole answer; 0 if it does not say."""
        ...

    @property
    def answers(self) -> int:
        """Return how many answers the caller wants at once; 0 where none is generated."""
        ...

    def body_for(self, recipient: Recipient) -> bytes:
        """Return the body of the call to `recipient`."""
        ...

    def start_stream(
        self, recipient: Recipient, name: bytes, max_event_bytes: int
    ) -> StreamRewriter:
        """Return what makes the caller's stream of the one that `recipient` sends."""
        ...

    def rewrite_answer(self, recipient: Recipient, name: bytes, body: bytes) -> Answer:
        """Return the caller's form of a whole answer of `recipient`. Raises NotAnAnswer."""
        ...


class Dialect(Protocol):
    """`name` is for cache keys, records and configurations; it never changes."""

    @property
    def name(self) -> str: ...

    @property
    def operation(self) -> str:
        """Return what records call a request in this dialect: chat, embeddings, ..."""
        ...

    @property
    def path(self) -> str:
        """Return the path that requests are sent to, as the API's own documentation has it."""
        ...

    @property
    def keep_alive(self) -> bytes:
        """Return what can stand between two events and means nothing."""
        ...

    @property
    def stream_headers(self) -> Sequence[tuple[bytes, bytes]]: ...

    @property
    def stream_marks(self) -> frozenset[bytes]:
        """Return the data of events that is no JSON, and the same in every stream."""
        ...

    @property
    def provider_headers(self) -> frozenset[bytes]:
        """Return those of a provider's answer that say how it came about, for support."""
        ...

    @property
    def answer_headers(self) -> Sequence[tuple[bytes, bytes]]: ...

    # The caller's side...

    def read_request(self, body: bytes) -> DialectRequest:
        """Read a request. Raises InvalidRequest (400) with what is wrong and where."""
        ...

    def error_reply(self, error: GatewayError) -> tuple[HeaderList, bytes]:
        """Return the headers and the body that show `error` instead of an answer."""
        ...

    def error_event(self, message: str, code: str, kind: str) -> bytes:
        """Return the event that ends a stream badly."""
        ...

    def relayed_error_event(self, data: bytes) -> bytes:
        """Return the event that shows the `data` of a provider's own error event."""
        ...

    def model_list(self, entries: Sequence[ModelEntry]) -> bytes: ...

    def model_entry(self, entry: ModelEntry) -> bytes: ...

    # The provider's side...

    def target(self, base_path: bytes, model: str, *, stream: bool) -> bytes:
        """Return the target of a call for `model`, below the path of the provider's base URL."""
        ...

    def error_status(self, body: bytes) -> int | None:
        """Return the HTTP status, 400 to 599, that an error's own code stands for, if any."""
        ...

    def read_error(self, body: bytes) -> str:
        """Return what an error answer or event says, for a person: short, on one line."""
        ...


def error_headers(error: GatewayError) -> HeaderList:
    """Return the headers of an error that are HTTP's, or that SDKs of several dialects obey.

    `x-should-retry` and `retry-after-ms` are read by every SDK that Stainless generates, OpenAI's
    and Anthropic's among them (openai-python `_base_client.py`).
    """
    headers: HeaderList = []
    if error.should_retry is not None:
        headers.append((b"x-should-retry", b"true" if error.should_retry else b"false"))
    if error.retry_after is not None:
        # Rounded up: a client that comes back too early is refused again. And not 0, which the
        # SDKs take for no answer (openai-python, `_calculate_retry_timeout`).
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after))))
        headers.append((b"retry-after-ms", b"%d" % max(1, math.ceil(error.retry_after * 1000))))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.allow.encode("ascii")))
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))  # RFC 9110 section 15.5.2
    return headers
