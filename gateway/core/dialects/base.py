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

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from ...errors import GatewayError
from ..records.counting import UsageRule
from ..wire.json_scan import JsonMember
from .model_terms import ModelTerms, ReasoningForm
from .needs import Needs
from .rewriting import Answer, NotAnAnswer, StreamRewriter

__all__ = [
    "CUT",
    "MAX_HELD",
    "Answer",
    "Dialect",
    "DialectRequest",
    "ForeignRecipient",
    "HeaderList",
    "ModelEntry",
    "NotAnAnswer",
    "ReasoningForm",
    "Recipient",
    "StreamRewriter",
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

    @property
    def stream_usage(self) -> bool:
        """Say whether the provider can be asked for usage in its streams."""
        ...

    @property
    def usage_rule(self) -> UsageRule:
        """Return how its counts of tokens are to be added up."""

    @property
    def dialect(self) -> Dialect: ...


class ForeignRecipient(Recipient, Protocol):
    """What a request has to know of a deployment that speaks another dialect."""

    @property
    def provider(self) -> str:
        """Return the provider's name in the configuration."""

    @property
    def reasoning(self) -> ReasoningForm:
        """Return how the model is asked to reason."""

    @property
    def terms(self) -> ModelTerms:
        """Return what its model takes of what its API has a form for."""
        ...

    @property
    def default_max_tokens(self) -> int:
        """Return how long an answer may become where the caller does not say, but the API must."""

    @property
    def max_output_tokens(self) -> int | None:
        """Return how many tokens of an answer may be asked for at most; None: not known."""

    @property
    def drops(self) -> bool:
        """Say whether what the API cannot say is left out, and not refused."""
        ...

    @property
    def caches_prompts(self) -> bool:
        """Say whether the prompt is to be cached for callers whose API has no way to ask."""
        ...


class DialectRequest(Protocol):
    """What the gateway reads of one request, and what it makes of the rest.

    `name` is always the requested model's name as JSON.
    """

    @property
    def body(self) -> bytes: ...

    @property
    def members(self) -> list[JsonMember]:
        """Return the members of the body."""
        ...

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
    def once(self) -> bool:
        """Say whether it changes what a provider keeps, so that a second attempt might do it twice.

        Then there is none, and no kept answer takes its place.
        """
        ...

    @property
    def answers(self) -> int:
        """Return how many answers the caller wants at once; 0 where none is generated."""
        ...

    def needs(self, *, prompt: bool = True) -> Needs:
        """Return what it needs of a model; `prompt` also looks at the prompt's length."""
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
    def limit_headers(self) -> frozenset[bytes]:
        """Return the headers of a provider's answer that say how much of its limits is left."""
        ...

    @property
    def id_headers(self) -> Sequence[bytes]:
        """Return in which headers its clients look for a request's id, beside `x-request-id`."""
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

    def error_reply(self, error: GatewayError, request_id: str = "") -> tuple[HeaderList, bytes]:
        """Return the headers and the body that show `error` instead of an answer.

        `request_id` is shown where the dialect's errors have a place for it.
        """
        ...

    def error_event(
        self, message: str, code: str, kind: str, after: StreamRewriter | None = None
    ) -> bytes:
        """Return the event that ends a stream badly; `after` has written all of it so far."""
        ...

    def relayed_error_event(self, data: bytes, after: StreamRewriter | None = None) -> bytes:
        """Return the event that shows the `data` of a provider's own error event."""
        ...

    def refusal_body(self, status: int, message: str, *, too_long: bool) -> bytes:
        """Return the error that shows what a provider of another dialect has refused.

        `too_long` says that the prompt was, by which clients shorten it and try again.
        """
        ...

    def model_list(self, entries: Sequence[ModelEntry], query: str = "") -> bytes:
        """Return the list of models, or its page that `query` asks for. Raises InvalidRequest."""
        ...

    def model_entry(self, entry: ModelEntry) -> bytes: ...

    def token_count(self, tokens: int) -> bytes:
        """Return the answer that says how many tokens a prompt has."""
        ...

    # The provider's side...

    def target(self, base_path: bytes, model: str, *, stream: bool) -> bytes:
        """Return the target of a call for `model`, below the path of the provider's base URL."""
        ...

    def count_target(self, base_path: bytes, model: str) -> bytes | None:
        """Return the target that counts a prompt's tokens; None if the API has none."""
        ...

    def error_status(self, body: bytes) -> int | None:
        """Return the HTTP status, 400 to 599, that an error's own code stands for, if any."""
        ...

    def read_error(self, body: bytes) -> str:
        """Return what an error answer or event says, for a person: short, on one line."""
        ...
