"""A request for ranks in one API, sent in another, and its answer on the way back."""

from __future__ import annotations

from typing import Protocol

from ...records.usage import Usage
from ..base import (
    Answer,
    DialectRequest,
    ForeignRecipient,
    NotAnAnswer,
    Recipient,
)
from ..bodies.textless import TextlessRequest
from ..canonical.fidelity import Fidelity
from .call import Rank, RankCall


class RankApi(Protocol):
    """How an API is asked for ranks. `operation` is the dialect in which providers are asked."""

    operation: str

    def read_call(self, request: DialectRequest, fidelity: Fidelity) -> RankCall:
        """Return what a caller asks. Raises InvalidRequest (400) and Untranslatable."""
        ...

    def write_call(self, call: RankCall, model: bytes, fidelity: Fidelity) -> DialectRequest:
        """Return a request for `model`, which is JSON. Raises Untranslatable."""
        ...

    def read_ranks(self, body: bytes) -> list[Rank]:
        """Return the ranks of an answer, the best first. Raises ValueError."""
        ...

    def write_answer(
        self, call: RankCall, ranks: list[Rank], model: bytes, usage: Usage | None
    ) -> bytes:
        """Return the answer to `call` under the name `model`, as JSON."""
        ...


class TranslatedRanking(TextlessRequest, frozen=True):
    """A `DialectRequest`. `inner` is what the provider is sent, `request` what the caller sent."""

    inner: DialectRequest
    call: RankCall
    source: RankApi
    target: RankApi
    dropped: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[DialectRequest, ...]:
        return (self.inner,)

    @property
    def operation(self) -> str:
        return self.target.operation

    def body_for(self, recipient: Recipient) -> bytes:
        return self.inner.body_for(recipient)

    def rewrite_answer(self, recipient: Recipient, name: bytes, body: bytes) -> Answer:
        found = self.inner.rewrite_answer(recipient, name, body)
        try:
            ranks = self.target.read_ranks(found.body)
            if any(not 0 <= each.index < len(self.call.documents) for each in ranks):
                raise ValueError("one is of a document that there is not")
            written = self.source.write_answer(self.call, ranks, name, found.usage)
        except (ValueError, RecursionError) as exc:
            raise NotAnAnswer(f"the answer has no ranks: {exc}", final=True) from exc
        return Answer(written, found.usage)


def translate_ranking(
    request: DialectRequest, source: RankApi, target: RankApi, recipient: ForeignRecipient
) -> TranslatedRanking:
    """Return `request`, of `source`, as one of `target` for `recipient`.

    Raises Untranslatable and InvalidRequest (400).
    """
    fidelity = Fidelity(drop=recipient.drops)
    call = source.read_call(request, fidelity)
    inner = target.write_call(call, recipient.model_json, fidelity)
    return TranslatedRanking(request, inner, call, source, target, fidelity.dropped)
