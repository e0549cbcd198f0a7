"""Cohere's models for vectors at Amazon: Cohere's API, with a few differences.

docs.aws.amazon.com/bedrock, "Cohere Embed v3" and "Cohere Embed v4": the model stands in the path,
tokens in a header, and an answer to a request without `embedding_types` has a list in place of an
object. Version 4 says `LEFT` and `RIGHT` of what is cut, and has no `input_type` for images.

Callers of Cohere's API are sent on as they come, but for these; so are those of Amazon's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from ....errors import InvalidRequest
from ...records.usage import Usage
from ...wire.member_names import NameTable
from ...wire.splice import InvalidJSON, members, splice
from ..base import Answer, DialectRequest, Recipient
from ..bodies.request_body import members_of_body
from ..canonical.fidelity import Fidelity
from ..cohere.embed import CohereEmbedRequest
from ..cohere.translated.embeddings import CohereEmbeddings
from ..embeddings.call import EmbeddingCall
from .counts import input_tokens
from .titan import check_unnamed

_Raw = msgspec.Raw
_ENCODE: Final = msgspec.json.Encoder().encode
_STRING: Final = msgspec.json.Decoder(str)
_FIELDS: Final = msgspec.json.Decoder(dict[str, _Raw])
_READ: Final = NameTable(("model", "modelId", "texts", "inputs", "images"))
_TYPES: Final = "embedding_types"
_TRUNCATE: Final = "truncate"
_KIND: Final = "input_type"
_META: Final = "meta"
# The words of version 4, by those of Cohere's API.
_NEW_CUTS: Final = {"START": b'"LEFT"', "END": b'"RIGHT"'}


def body_of(body: bytes, *, fourth: bool) -> bytes:
    """Return a body of Cohere's API as Amazon takes it; `fourth`: for version 4.

    One of Amazon's names no model, and is returned as it is.
    """
    found = members(body)
    values = {each.key: body[each.value_start : each.end] for each in found}
    if "model" not in values:
        return body
    put: dict[str, bytes] = {}
    if values.get(_TYPES, b"null") == b"null":
        # Without it vectors come without the name of their type.
        put[_TYPES] = b'["float"]'
    if fourth and values.get(_KIND) == b'"image"':
        put[_KIND] = b'"search_document"'
    cut = _text(values.get(_TRUNCATE, b"null"))
    if fourth and cut in _NEW_CUTS:
        put[_TRUNCATE] = _NEW_CUTS[cut]
    return splice(body, put=put, remove=("model",), known=found)


def with_counts(headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    """Return an answer of Amazon's with the tokens of its headers where Cohere's own has them."""
    tokens = input_tokens(headers)
    if tokens is None:
        return body
    try:
        found = members(body)
    except InvalidJSON:
        # What is wrong with it is said by its reader.
        return body
    if any(each.key == _META for each in found):
        return body
    counts = b'{"billed_units":{"input_tokens":%d}}' % tokens
    return splice(body, put={_META: counts}, known=found)


class InvokedEmbedding(CohereEmbedRequest, frozen=True):
    """A request in Amazon's form; its model stands in the path."""

    def body_for(self, recipient: Recipient) -> bytes:
        return self.body

    def rewrite_answer(self, recipient: Recipient, name: bytes, body: bytes) -> Answer:
        answer = super().rewrite_answer(recipient, name, body)
        return Answer(splice(answer.body, remove=(_META,)), answer.usage)


def parse_invoked(body: bytes, model: str) -> DialectRequest:
    """Read a request body. Raises InvalidRequest (400) with what is wrong and where."""
    found = members_of_body(body, _READ)
    check_unnamed(found)
    if not model:
        raise InvalidRequest("the model must not be empty", param="modelId")
    return InvokedEmbedding(body, found, model)


class InvokedCohere(CohereEmbeddings):
    """The same for callers of Amazon's whose model is at another provider."""

    operation = "bedrock_cohere_embed"

    def read_call(self, request: DialectRequest, fidelity: Fidelity) -> EmbeddingCall:
        call = super().read_call(request, fidelity)
        fields = _FIELDS.decode(request.body)
        call.bare = bytes(fields.get(_TYPES, b"null")) == b"null"
        return call

    def write_answer(
        self, call: EmbeddingCall, vectors: list[_Raw], model: bytes, usage: Usage | None
    ) -> bytes:
        found = super().write_answer(call, vectors, model, usage)
        if not call.bare:
            return splice(found, remove=(_META,))
        put = {"embeddings": _ENCODE(vectors), "response_type": b'"embeddings_floats"'}
        return splice(found, put=put, remove=(_META,))


def _text(raw: bytes | _Raw) -> str:
    try:
        return _STRING.decode(raw).upper()
    except msgspec.DecodeError:
        return ""
