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
from .rewriting import Answer, NotAnAnswer, StreamRewriter

__all__ = [
    "CUT",
    "MAX_HELD",
    "Answer",
    "Dialect",
    "DialectRequest",
    "HeaderList",
    "ModelEntry",
    "NotAnAnswer",
    "Recipient",
    "StreamRewriter",
    "error_headers",
]

HeaderList = list[tuple[bytes, bytes]]

# A stream that says nothing for so many bytes before its first meaningful event is let through:
# the provider is alive, and what is held back takes memory.
MAX_HELD: Final = 64 * 1024
# How a message ends that `read_error` has shortened.
CUT: Final = "..."


class ModelEntry(msgspec.Struct, frozen=True):
    """A model as lists show it. `created` is Unix time in seconds."""

    name: str
    created: int
    owner: str


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
    def continues(self) -> str | None:
        """Return the id of what a provider keeps and the request goes on from; None: of nothing."""
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

    @property
    def closes_failed(self) -> bool:
        """Say whether the body of a stream that failed is ended in order behind its error event.

        So it is where clients read on behind that event; where they take a stream that just stops
        for a whole one, it is cut.
        """
        ...

    @property
    def opens_once(self) -> bool:
        """Say whether a stream begins with an event that its clients take no second of.

        Then nothing of an attempt is shown before it is committed: another may have to take over.
        """
        ...

    # The caller's side...

    def read_request(self, body: bytes) -> DialectRequest:
        """Read a request. Raises InvalidRequest (400) with what is wrong and where."""
        ...

    def error_reply(self, error: GatewayError) -> tuple[HeaderList, bytes]:
        """Return the headers and the body that show `error` instead of an answer."""
        ...

    def error_event(
        self, message: str, code: str, kind: str, after: StreamRewriter | None = None
    ) -> bytes:
        """Return the event that ends a stream badly; `after` has written all of it so far."""
        ...

    def relayed_error_event(self, data: bytes, after: StreamRewriter | None = None) -> bytes:
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
    if error.status == 426:
        headers.append((b"upgrade", b"HTTP/1.1"))  # RFC 9110 section 15.5.22
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))  # RFC 9110 section 15.5.2
    return headers
