"""Vectors by Ollama's API (api/types.go, `EmbedRequest`), for other ones and from them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .....errors import InvalidRequest
from ....records.usage import Usage
from ...base import DialectRequest
from ...canonical.fidelity import Fidelity
from ...canonical.reading import fields_of, is_text, is_true, items_of, text_of
from ...embeddings.call import EmbeddingCall
from ..embed import parse_embed

_Raw = msgspec.Raw
_ENCODE: Final = msgspec.json.Encoder().encode
_KNOWN: Final = frozenset({"model", "input", "dimensions", "truncate"})


class _Vectors(msgspec.Struct):
    embeddings: list[_Raw]


_VECTORS: Final = msgspec.json.Decoder(_Vectors)


class OllamaEmbeddings:
    """See `embeddings.translation.EmbeddingApi`."""

    operation = "ollama_embed"

    def most_inputs(self, call: EmbeddingCall) -> int:
        return 0

    def read_call(self, request: DialectRequest, fidelity: Fidelity) -> EmbeddingCall:
        fields = fields_of(request.body, "")
        for name in sorted(fields.keys() - _KNOWN):
            # How long a model stays in memory, and how it is run.
            fidelity.hint(name)
        raw = fields.get("input", _Raw(b"[]"))
        given = [raw] if is_text(raw) else items_of(raw, "input")
        if not given:
            raise InvalidRequest("input must not be empty", param="input")
        return EmbeddingCall(
            inputs=[text_of(each, "input") for each in given],
            dimensions=fields.get("dimensions"),
            truncate=is_true(fields["truncate"]) if "truncate" in fields else None,
            paths={"inputs": "input"},
        )

    def write_call(self, call: EmbeddingCall, model: bytes, fidelity: Fidelity) -> DialectRequest:
        texts = call.texts(fidelity, "Ollama's API")
        body: dict[str, Any] = {"model": _Raw(model), "input": texts}
        if call.dimensions is not None:
            body["dimensions"] = call.dimensions
        if call.truncate is not None:
            body["truncate"] = call.truncate
        call.leave_out(fidelity, "purpose", "title", "user")
        if call.normalize is False:
            # ollama `server/routes.go`, EmbedHandler: it normalizes each vector.
            fidelity.demand(call.path("normalize"), "Ollama's vectors have the length 1")
        return parse_embed(_ENCODE(body))

    def read_vectors(self, body: bytes) -> list[_Raw]:
        return _VECTORS.decode(body).embeddings

    def write_answer(
        self, call: EmbeddingCall, vectors: list[_Raw], model: bytes, usage: Usage | None
    ) -> bytes:
        found: dict[str, Any] = {"model": _Raw(model), "embeddings": vectors}
        if usage is not None:
            found["prompt_eval_count"] = usage.input_tokens
        return _ENCODE(found)
