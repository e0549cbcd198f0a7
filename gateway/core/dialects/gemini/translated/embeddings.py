"""Vectors by Gemini's API (google-genai `types.py`, `EmbedContentConfig`), for other ones and back.

`embedContent` has one text, `batchEmbedContents` many; providers are asked for many.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .....errors import InvalidRequest
from ....records.usage import Usage
from ...base import DialectRequest
from ...canonical.data_url import data_of_url
from ...canonical.fidelity import Fidelity
from ...canonical.reading import Fields, items_of, member_text
from ...embeddings.call import EmbeddingCall, MixedInput, Picture, Purpose
from ..models import resource_name
from ..numbers import parse_numbers
from .members import listed, members_of

_Raw = msgspec.Raw
_ENCODE: Final = msgspec.json.Encoder().encode
_NAME: Final = msgspec.json.Decoder(str)
_KNOWN: Final = frozenset({"model", "content", "taskType", "title", "outputDimensionality"})
# ai.google.dev/gemini-api/docs/embeddings, "Supported task types".
_TASKS: Final[dict[str, Purpose]] = {
    "RETRIEVAL_QUERY": "query",
    "RETRIEVAL_DOCUMENT": "document",
    "CLASSIFICATION": "classification",
    "CLUSTERING": "clustering",
    "SEMANTIC_SIMILARITY": "similarity",
    "CODE_RETRIEVAL_QUERY": "code",
    "QUESTION_ANSWERING": "question",
    "FACT_VERIFICATION": "fact",
}
_WORDS: Final = {purpose: task for task, purpose in _TASKS.items()}


class _Vector(msgspec.Struct):
    values: _Raw


class _Vectors(msgspec.Struct):
    embeddings: list[_Vector]


_VECTORS: Final = msgspec.json.Decoder(_Vectors)


class GeminiEmbeddings:
    """See `embeddings.translation.EmbeddingApi`. `single`: of callers of `embedContent`."""

    operation = "gemini_batch_embed"

    def __init__(self, *, single: bool = False) -> None:
        self._single = single

    def most_inputs(self, call: EmbeddingCall) -> int:
        # ai.google.dev/gemini-api/docs/embeddings: a batch has 100 requests at the most.
        return 100

    def read_call(self, request: DialectRequest, fidelity: Fidelity) -> EmbeddingCall:
        fields = members_of(request.body, "")
        if self._single:
            return _read(fields, "", fidelity)
        calls = [
            _read(members_of(each, f"requests.{n}"), f"requests.{n}.", fidelity)
            for n, each in enumerate(items_of(fields.get("requests", _Raw(b"[]")), "requests"))
        ]
        if not calls:
            raise InvalidRequest("requests must not be empty", param="requests")
        first = calls[0]
        for each in calls[1:]:
            first.inputs += each.inputs
            for name in ("purpose", "dimensions"):
                if getattr(each, name) != getattr(first, name):
                    fidelity.demand(each.path(name), "other APIs have one for all texts")
        return first

    def write_call(self, call: EmbeddingCall, model: bytes, fidelity: Fidelity) -> DialectRequest:
        name = _NAME.decode(model)
        shared: dict[str, Any] = {"model": resource_name(name)}
        if call.purpose is not None:
            shared["taskType"] = _WORDS[call.purpose]
        if call.dimensions is not None:
            shared["outputDimensionality"] = call.dimensions
        call.leave_out(fidelity, "truncate", "user", "normalize")
        inputs = call.only_texts_and_images(fidelity, "Gemini's API")
        requests = [{**shared, "content": {"parts": _written(each, fidelity)}} for each in inputs]
        return parse_numbers(_ENCODE({"requests": requests}), name, ("embeddings",))

    def read_vectors(self, body: bytes) -> list[_Raw]:
        return [each.values for each in _VECTORS.decode(body).embeddings]

    def write_answer(
        self, call: EmbeddingCall, vectors: list[_Raw], model: bytes, usage: Usage | None
    ) -> bytes:
        found = [{"values": each} for each in vectors]
        return _ENCODE({"embedding": found[0]} if self._single else {"embeddings": found})


def _written(input: str | MixedInput, fidelity: Fidelity) -> list[dict[str, Any]]:
    if isinstance(input, str):
        return [{"text": input}]
    found: list[dict[str, Any]] = []
    for part in input.parts:
        if isinstance(part, str):
            found.append({"text": part})
            continue
        kind, data = data_of_url(part.url)
        if data is None:
            fidelity.demand(input.path, "Gemini's API takes images by their content")
            continue
        found.append({"inlineData": {"mimeType": kind, "data": data}})
    return found


def _read(fields: Fields, path: str, fidelity: Fidelity) -> EmbeddingCall:
    for name in sorted(fields.keys() - _KNOWN):
        fidelity.hint(f"{path}{name}")
    where = f"{path}content"
    content = members_of(fields.get("content", _Raw(b"0")), where)
    parts: list[str | Picture] = []
    for number, part in enumerate(listed(content.get("parts", _Raw(b"[]")), f"{where}.parts")):
        at = f"{where}.parts.{number}"
        read = members_of(part, at)
        if "text" in read:
            parts.append(member_text(read, "text", at))
        elif (picture := _picture(read, at)) is not None:
            parts.append(picture)
        else:
            fidelity.demand(at, "other APIs make vectors of texts and images")
    if not parts:
        raise InvalidRequest(f"{where} has no text", param=where)
    mixed = MixedInput(tuple(parts), where)
    return EmbeddingCall(
        inputs=[mixed if mixed.pictures else mixed.text],
        dimensions=fields.get("outputDimensionality"),
        purpose=_TASKS.get(member_text(fields, "taskType", path, "").upper()),
        title=member_text(fields, "title", path, "") or None,
        paths={
            "inputs": where,
            "purpose": f"{path}taskType",
            "dimensions": f"{path}outputDimensionality",
            "title": f"{path}title",
        },
    )


def _picture(read: Fields, path: str) -> Picture | None:
    if "inlineData" not in read:
        return None
    data = members_of(read["inlineData"], f"{path}.inlineData")
    kind = member_text(data, "mimeType", path, "")
    if not kind.startswith("image/"):
        return None
    return Picture(f"data:{kind};base64,{member_text(data, 'data', path)}")
