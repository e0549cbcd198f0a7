"""A request for vectors in one API, sent in another, and its answer on the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from ...records.usage import Usage, of_parts
from ..base import (
    Answer,
    DialectRequest,
    ForeignRecipient,
    NotAnAnswer,
    Recipient,
)
from ..bodies.textless import TextlessRequest
from ..canonical.fidelity import Fidelity, Untranslatable
from .call import EmbeddingCall

Raw = msgspec.Raw
# What a call may have at OpenAI (platform.openai.com/docs/api-reference/embeddings/create): of an
# API that takes one text in a call, so many calls are made for one of a caller's.
MOST_INPUTS: Final = 2048


class EmbeddingRecipient(ForeignRecipient, Protocol):
    """What a request has to know of a deployment that may be asked for vectors."""

    @property
    def targets(self) -> Mapping[str, bytes]:
        """Return where requests of other operations go, by the names of their dialects."""
        ...


class EmbeddingApi(Protocol):
    """How an API is asked for vectors. `operation` is the dialect in which providers are asked."""

    operation: str

    def most_inputs(self, call: EmbeddingCall) -> int:
        """Return how many inputs like those of `call` the API takes at once; 0: any number."""
        ...

    def read_call(self, request: DialectRequest, fidelity: Fidelity) -> EmbeddingCall:
        """Return what a caller asks. Raises InvalidRequest (400) and Untranslatable."""
        ...

    def write_call(self, call: EmbeddingCall, model: bytes, fidelity: Fidelity) -> DialectRequest:
        """Return a request for `model`, which is JSON. Raises Untranslatable."""
        ...

    def read_vectors(self, body: bytes) -> list[Raw]:
        """Return the vectors of an answer, in the order of the inputs. Raises ValueError."""
        ...

    def write_answer(
        self, call: EmbeddingCall, vectors: list[Raw], model: bytes, usage: Usage | None
    ) -> bytes:
        """Return the answer to `call` under the name `model`, as JSON. Raises ValueError."""
        ...


class TranslatedEmbedding(TextlessRequest, frozen=True):
    """A `DialectRequest`. `parts` are what the provider is sent, `request` what the caller sent.

    There is more than one part where the provider's API takes fewer inputs at once.
    """

    parts: tuple[DialectRequest, ...]
    call: EmbeddingCall
    source: EmbeddingApi
    target: EmbeddingApi
    dropped: tuple[str, ...] = ()

    @property
    def inner(self) -> DialectRequest:
        return self.parts[0]

    @property
    def operation(self) -> str:
        return self.target.operation

    def body_for(self, recipient: Recipient) -> bytes:
        return self.inner.body_for(recipient)

    def rewrite_answer(self, recipient: Recipient, name: bytes, body: bytes) -> Answer:
        return self.rewrite_answers(recipient, name, (body,))

    def rewrite_answers(self, recipient: Recipient, name: bytes, bodies: Sequence[bytes]) -> Answer:
        """Return the answer to all parts, whose own are `bodies`. Raises NotAnAnswer."""
        found = [
            part.rewrite_answer(recipient, name, body)
            for part, body in zip(self.parts, bodies, strict=True)
        ]
        usage = of_parts([each.usage for each in found])
        try:
            vectors = [raw for each in found for raw in self.target.read_vectors(each.body)]
            if len(vectors) != len(self.call.inputs):
                raise ValueError(f"{len(vectors)} of {len(self.call.inputs)} are there")
            written = self.source.write_answer(self.call, vectors, name, usage)
        except (ValueError, RecursionError) as exc:
            raise NotAnAnswer(f"the answer has no vectors: {exc}", final=True) from exc
        return Answer(written, usage)


def translate_embedding(
    request: DialectRequest,
    source: EmbeddingApi,
    target: EmbeddingApi,
    model: bytes,
    *,
    drops: bool,
) -> TranslatedEmbedding:
    """Return `request`, of `source`, as one of `target` for `model`, which is JSON.

    Raises Untranslatable and InvalidRequest (400).
    """
    fidelity = Fidelity(drop=drops)
    call = source.read_call(request, fidelity)
    parts = tuple(target.write_call(each, model, fidelity) for each in _parts(call, target))
    return TranslatedEmbedding(request, parts, call, source, target, fidelity.dropped)


def _parts(call: EmbeddingCall, target: EmbeddingApi) -> list[EmbeddingCall]:
    """Return calls with as many inputs as `target` takes at once."""
    most = target.most_inputs(call)
    count = len(call.inputs)
    if not 0 < most < count:
        return [call]
    if count > MOST_INPUTS:
        why = f"{count} inputs are more than {MOST_INPUTS}, and the provider takes {most} at once"
        raise Untranslatable(call.path("inputs"), why)
    return [
        msgspec.structs.replace(call, inputs=call.inputs[start : start + most])
        for start in range(0, count, most)
    ]
