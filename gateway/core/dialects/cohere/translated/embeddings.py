"""Vectors by Cohere's API (`v2/raw_client.py`, `embed`), for other ones and from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from .....errors import InvalidRequest
from ....records.usage import Usage
from ...base import DialectRequest
from ...canonical.fidelity import Fidelity
from ...canonical.reading import Fields, fields_of, is_text, items_of, member_text, text_of
from ...embeddings.call import EmbeddingCall, Input, MixedInput, Picture, Purpose
from ...embeddings.packed import packed
from ..embed import parse_embed

_Raw = msgspec.Raw
_ENCODE: Final = msgspec.json.Encoder().encode
_KNOWN: Final = frozenset(
    {
        *("model", "texts", "inputs", "images", "input_type", "embedding_types"),
        *("output_dimension", "truncate"),
    }
)
_PURPOSES: Final[dict[str, Purpose]] = {
    "search_query": "query",
    "search_document": "document",
    "classification": "classification",
    "clustering": "clustering",
}
# Its models must be told what for. Who does not say has documents, mostly, and the vectors of
# queries and documents can be compared.
_TYPES: Final[dict[Purpose, str]] = {
    "query": "search_query",
    "question": "search_query",
    "code": "search_query",
    "fact": "search_query",
    "document": "search_document",
    "classification": "classification",
    "clustering": "clustering",
    "similarity": "clustering",
}
_FLOATS: Final = "float"
_PACKED: Final = "base64"


class _Vectors(msgspec.Struct):
    embeddings: dict[str, _Raw]


_VECTORS: Final = msgspec.json.Decoder(_Vectors)
_LIST: Final = msgspec.json.Decoder(list[_Raw])


class CohereEmbeddings:
    """See `embeddings.translation.EmbeddingApi`."""

    operation = "cohere_embed"

    def most_inputs(self, call: EmbeddingCall) -> int:
        # docs.cohere.com/reference/embed: 96 texts or inputs, but one of the `images`.
        return 1 if _pictures(call.inputs) else 96

    def read_call(self, request: DialectRequest, fidelity: Fidelity) -> EmbeddingCall:
        fields = fields_of(request.body, "")
        for name in sorted(fields.keys() - _KNOWN):
            # How early it is handled, and how much of each text.
            fidelity.hint(name)
        kind = member_text(fields, "input_type", "", "")
        cut = member_text(fields, "truncate", "", "")
        forms = _forms(fields, fidelity)
        return EmbeddingCall(
            inputs=_inputs(fields, fidelity),
            dimensions=fields.get("output_dimension"),
            purpose=_PURPOSES.get(kind),
            truncate=None if not cut else cut.upper() != "NONE",
            packed=_PACKED in forms,
            plain=_FLOATS in forms,
            paths={
                "inputs": "texts",
                "dimensions": "output_dimension",
                "purpose": "input_type",
            },
        )

    def write_call(self, call: EmbeddingCall, model: bytes, fidelity: Fidelity) -> DialectRequest:
        body: dict[str, Any] = {
            "model": _Raw(model),
            **_written(call.only_texts_and_images(fidelity, "Cohere's API")),
            "input_type": _TYPES[call.purpose or "document"],
            "embedding_types": [_FLOATS],
        }
        if "images" in body:
            body["input_type"] = "image"
        if call.dimensions is not None:
            body["output_dimension"] = call.dimensions
        if call.truncate is not None:
            body["truncate"] = "END" if call.truncate else "NONE"
        call.leave_out(fidelity, "title", "user", "normalize")
        return parse_embed(_ENCODE(body))

    def read_vectors(self, body: bytes) -> list[_Raw]:
        found: list[_Raw] = _LIST.decode(_VECTORS.decode(body).embeddings.get(_FLOATS, b"null"))
        return found

    def write_answer(
        self, call: EmbeddingCall, vectors: list[_Raw], model: bytes, usage: Usage | None
    ) -> bytes:
        shown: dict[str, Any] = {}
        if call.plain:
            shown[_FLOATS] = vectors
        if call.packed:
            shown[_PACKED] = [packed(each) for each in vectors]
        meta: dict[str, Any] = {"api_version": {"version": "2"}}
        if usage is not None:
            meta["billed_units"] = {"input_tokens": usage.input_tokens}
        return _ENCODE(
            {
                "id": "gateway",
                "embeddings": shown,
                "texts": [each for each in call.inputs if isinstance(each, str)],
                "meta": meta,
                "response_type": "embeddings_by_type",
            }
        )


def _inputs(fields: Fields, fidelity: Fidelity) -> list[Input]:
    """Return the texts and images of a request, and its `inputs`, which may be made of both."""
    found: list[Input] = [
        text_of(each, f"texts.{n}")
        for n, each in enumerate(items_of(fields.get("texts", _Raw(b"[]")), "texts"))
    ]
    for n, each in enumerate(items_of(fields.get("images", _Raw(b"[]")), "images")):
        path = f"images.{n}"
        found.append(MixedInput((Picture(text_of(each, path)),), path))
    for n, each in enumerate(items_of(fields.get("inputs", _Raw(b"[]")), "inputs")):
        found.append(_mixed(each, f"inputs.{n}.content", fidelity))
    if not found:
        raise InvalidRequest("invalid request: texts must not be empty", param="texts")
    return found


def _mixed(raw: _Raw, path: str, fidelity: Fidelity) -> str | MixedInput:
    parts: list[str | Picture] = []
    for number, part in enumerate(items_of(fields_of(raw, path).get("content", _Raw(b"[]")), path)):
        at = f"{path}.{number}"
        read = fields_of(part, at)
        kind = member_text(read, "type", path, "text")
        if kind == "text":
            parts.append(member_text(read, "text", at))
        elif kind == "image_url":
            parts.append(Picture(_url(read.get("image_url", _Raw(b"{}")), at)))
        else:
            fidelity.demand(at, "other APIs make vectors of texts and images")
    mixed = MixedInput(tuple(parts), path)
    return mixed if mixed.pictures else mixed.text


def _url(raw: _Raw, path: str) -> str:
    # As an object in Cohere's API, as a text in Amazon's documentation of its models.
    return text_of(raw, path) if is_text(raw) else member_text(fields_of(raw, path), "url", path)


def _written(inputs: list[str | MixedInput]) -> dict[str, Any]:
    """Return the member that the inputs stand in."""
    if all(isinstance(each, str) for each in inputs):
        return {"texts": inputs}
    if (pictures := _pictures(inputs)) is not None:
        return {"images": [each.url for each in pictures]}
    return {"inputs": [{"content": _content(each)} for each in inputs]}


def _content(input: str | MixedInput) -> list[dict[str, Any]]:
    if isinstance(input, str):
        return [{"type": "text", "text": input}]
    return [
        {"type": "text", "text": each}
        if isinstance(each, str)
        else {"type": "image_url", "image_url": {"url": each.url}}
        for each in input.parts
    ]


def _pictures(inputs: Sequence[Input]) -> list[Picture] | None:
    """Return the images of inputs that are one each; None where there is anything else."""
    found: list[Picture] = []
    for each in inputs:
        if not isinstance(each, MixedInput) or len(each.parts) != 1 or not each.pictures:
            return None
        found += each.pictures
    return found


def _forms(fields: Fields, fidelity: Fidelity) -> set[str]:
    path = "embedding_types"
    found = {text_of(each, path) for each in items_of(fields.get(path, _Raw(b"[]")), path)}
    if found - {_FLOATS, _PACKED}:
        fidelity.demand(path, "other APIs make vectors of floats only")
    return found & {_FLOATS, _PACKED} or {_FLOATS}
