"""Vectors by OpenAI's API (openai-python `types/embedding_create_params.py`), for other ones."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ....errors import InvalidRequest
from ...records.usage import Usage
from ..base import DialectRequest
from ..canonical.fidelity import Fidelity
from ..canonical.reading import fields_of, is_text, items_of, member_text, text_of
from ..embeddings.call import EmbeddingCall, Input, MixedInput, Purpose
from ..embeddings.packed import packed, unpacked
from .request import parse_numbers

_Raw = msgspec.Raw
_ENCODE: Final = msgspec.json.Encoder().encode
_KNOWN: Final = frozenset(
    {"model", "input", "dimensions", "encoding_format", "user", "input_type", "truncate"}
)
_TOKENS: Final = msgspec.json.Decoder(list[int])
# Not OpenAI's: what servers with its API take for what the vectors are for (Voyage, NVIDIA, and
# Cohere's own API like OpenAI's).
_PURPOSES: Final[dict[str, Purpose]] = {
    "query": "query",
    "search_query": "query",
    "document": "document",
    "passage": "document",
    "search_document": "document",
    "classification": "classification",
    "clustering": "clustering",
}


class _Vector(msgspec.Struct):
    embedding: _Raw
    index: int = 0


class _Vectors(msgspec.Struct):
    data: list[_Vector]


_VECTORS: Final = msgspec.json.Decoder(_Vectors)


class OpenAIVectors:
    """See `embeddings.translation.EmbeddingApi`."""

    operation = "openai_embeddings"

    def most_inputs(self, call: EmbeddingCall) -> int:
        # OpenAI itself takes 2048, servers with its API as many as they like.
        return 0

    def read_call(self, request: DialectRequest, fidelity: Fidelity) -> EmbeddingCall:
        fields = fields_of(request.body, "")
        for name in sorted(fields.keys() - _KNOWN):
            fidelity.hint(name)
        form = member_text(fields, "encoding_format", "", "float")
        if form not in ("float", "base64"):
            raise InvalidRequest("encoding_format must be float or base64", param="encoding_format")
        return EmbeddingCall(
            inputs=_inputs(fields.get("input", _Raw(b"[]"))),
            dimensions=fields.get("dimensions"),
            purpose=_PURPOSES.get(member_text(fields, "input_type", "", "")),
            packed=form == "base64",
            plain=form == "float",
            user=member_text(fields, "user", "", "") or None,
            paths={"inputs": "input", "purpose": "input_type"},
        )

    def write_call(self, call: EmbeddingCall, model: bytes, fidelity: Fidelity) -> DialectRequest:
        inputs = [
            each if isinstance(each, list) else text
            for each, text in zip(call.inputs, _texts(call, fidelity), strict=True)
        ]
        body: dict[str, Any] = {"model": _Raw(model), "input": inputs}
        body["encoding_format"] = "float"
        if call.dimensions is not None:
            body["dimensions"] = call.dimensions
        if call.user is not None:
            body["user"] = call.user
        # Its models make the same vectors for all purposes, and refuse a text that is too long.
        call.leave_out(fidelity, "purpose", "title", "truncate")
        if call.normalize is False:
            fidelity.demand(call.path("normalize"), "OpenAI's vectors have the length 1")
        return parse_numbers(_ENCODE(body), "data")

    def read_vectors(self, body: bytes) -> list[_Raw]:
        found = sorted(_VECTORS.decode(body).data, key=lambda each: each.index)
        return [unpacked(each.embedding) for each in found]

    def write_answer(
        self, call: EmbeddingCall, vectors: list[_Raw], model: bytes, usage: Usage | None
    ) -> bytes:
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": packed(each) if call.packed else each,
            }
            for index, each in enumerate(vectors)
        ]
        tokens = 0 if usage is None else usage.input_tokens
        counts = {"prompt_tokens": tokens, "total_tokens": tokens}
        return _ENCODE({"object": "list", "data": data, "model": _Raw(model), "usage": counts})


def _texts(call: EmbeddingCall, fidelity: Fidelity) -> list[str]:
    """Return the texts of a call, "" for tokens, which are taken as they are."""
    plain = ["" if isinstance(each, list) else each for each in call.inputs]
    if not any(isinstance(each, MixedInput) for each in plain):
        return [each for each in plain if isinstance(each, str)]
    return msgspec.structs.replace(call, inputs=plain).texts(fidelity, "OpenAI's API")


def _inputs(raw: _Raw) -> list[Input]:
    """Return texts or tokens, of which one alone may stand without a list."""
    if is_text(raw):
        return [text_of(raw, "input")]
    items = items_of(raw, "input")
    if items and bytes(items[0])[:1].isdigit():
        return [_tokens(raw, "input")]
    found: list[Input] = [
        text_of(each, f"input.{n}") if is_text(each) else _tokens(each, f"input.{n}")
        for n, each in enumerate(items)
    ]
    if not found:
        raise InvalidRequest("input must not be empty", param="input")
    return found


def _tokens(raw: _Raw, path: str) -> list[int]:
    try:
        return _TOKENS.decode(raw)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise InvalidRequest(f"{path} must be a text, or an array of tokens", param=path) from exc
