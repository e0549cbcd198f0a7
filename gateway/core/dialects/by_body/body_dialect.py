"""Paths that serve several APIs: which one is asked, a request's body says.

    BodyDialect      the path: reads a body, and says what is asked and in which dialect
    AskedByBody      that, with the body as that dialect has it
    AnswerEncoding   how its answers look on the wire, where that is not as the dialect has them

The rest of the gateway serves the dialect, in its own words, whatever the path was: keeps its
streams alive, ends them, caches and captures them. The encoding is the last thing before the wire.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from ..base import Dialect, HeaderList

Headers = Iterable[tuple[bytes, bytes]]


class AnswerEncoding(Protocol):
    """Turns answers of a dialect into those of the path."""

    @property
    def keep_alive(self) -> bytes:
        """Return what can stand between two events and means nothing."""
        ...

    def head(self, headers: Headers) -> HeaderList:
        """Return the headers of a stream."""
        ...

    def stream(self, data: bytes) -> bytes:
        """Return what is written for `data` of a stream, in pieces of any size."""
        ...

    def answer(
        self, status: int, headers: Headers, body: bytes, input_tokens: int | None
    ) -> tuple[HeaderList, bytes]:
        """Return the headers and the body of a whole answer, or of a provider's refusal.

        `input_tokens` are what its provider has counted.
        """
        ...


class AskedByBody(msgspec.Struct, frozen=True):
    """`body` and `headers` are as a request of `dialect` has them."""

    dialect: Dialect
    body: bytes
    encoding: AnswerEncoding
    headers: Mapping[bytes, bytes] = {}


class BodyDialect:
    """The dialect of such a path, for errors before its body is read."""

    def asked(self, body: bytes) -> AskedByBody:
        """Say what `body` asks. Raises InvalidRequest (400) with what is served."""
        raise NotImplementedError
