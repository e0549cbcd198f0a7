"""What a dialect of sessions is: how one is opened, and what its messages say.

    SessionDialect  opens sessions: model, key and subprotocols of an opening, the provider's target
    SessionTalk     one session: looks at the messages of both sides

`SessionTalk` is fed each message once, in its order. It never changes one, but for the name of the
model, by which a provider knows it otherwise than the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from ...records.usage import Usage
from ..base import Dialect, DialectRequest, Recipient


class SessionOpening(msgspec.Struct, frozen=True):
    """What the head of an opening says.

    `key` is one that stands among the subprotocols, as browsers have it, which can set no header.
    `offered` are the other subprotocols, which a provider may be offered. `chosen` is the one to
    answer with where the provider chooses none, or is not asked yet.
    """

    model: str | None = None
    key: bytes | None = None
    offered: tuple[str, ...] = ()
    chosen: str | None = None


class CallerMessage(msgspec.Struct, frozen=True):
    """What a message of the caller is. `asks` says that it wants an answer.

    `request` is what it asks of a model that it names itself, and `models` are others that it
    names. `text` is what is to be sent in its place; None: the message as it is.
    """

    asks: bool = False
    request: DialectRequest | None = None
    models: tuple[str, ...] = ()
    text: str | None = None


class ProviderMessage(msgspec.Struct, frozen=True):
    """What a message of the provider is.

    `fails` says that it is an error; `kept` are the ids of what the provider keeps from now on.
    """

    fails: bool = False
    kept: tuple[str, ...] = ()


class SessionTalk(Protocol):
    """The messages of one session."""

    @property
    def working(self) -> bool:
        """Say whether an answer is under way, as far as the messages tell."""
        ...

    @property
    def events(self) -> int:
        """Return how many messages the provider has sent."""
        ...

    @property
    def answers(self) -> Sequence[Usage]:
        """Return what each answer took that has ended."""
        ...

    @property
    def uncounted(self) -> bool:
        """Say whether more was used than `answers` count."""
        ...

    def from_caller(self, text: str) -> CallerMessage:
        """Look at a message of the caller. Raises InvalidRequest (400)."""
        ...

    def from_provider(self, text: str) -> ProviderMessage:
        """Look at a message of the provider; whatever it is, that raises nothing."""
        ...


class SessionDialect(Dialect, Protocol):
    """A dialect whose requests are messages of a session."""

    @property
    def model_comes_first(self) -> bool:
        """Say whether the first message names the model, and not the opening."""
        ...

    @property
    def session_headers(self) -> frozenset[bytes]:
        """Return the headers of an opening that go on to a provider."""
        ...

    def opening(self, query: bytes, offered: Sequence[str]) -> SessionOpening:
        """Read the opening of a session. Raises InvalidRequest (400)."""
        ...

    def session_target(self, target: bytes, model: str, query: bytes) -> bytes:
        """Return the target of a session with `model`; `query` is the caller's."""
        ...

    def talk(self, name: str, recipient: Recipient, query: bytes) -> SessionTalk:
        """Return what looks at a session with `recipient`, whose caller calls the model `name`.

        `query` is that of its opening.
        """
        ...
