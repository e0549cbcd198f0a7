"""Vectors by Titan's models: one text in, one vector out.

docs.aws.amazon.com/bedrock, "Amazon Titan Embeddings Text" and "Amazon Titan Multimodal Embeddings
G1". Which members there are depends on the model: version 1 has the text alone, version 2
`dimensions`, `normalize` and `embeddingTypes`, the one for images `inputImage` and
`embeddingConfig`.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from ....errors import InvalidRequest
from ...records.usage import Usage
from ...wire.json_scan import JsonMember
from ...wire.member_names import NameTable
from ...wire.splice import splice
from ..base import Answer, DialectRequest, NotAnAnswer, Recipient
from ..bodies.plain_body import TextlessBody
from ..bodies.request_body import members_of_body, string_of
from ..canonical.data_url import data_of_url
from ..canonical.fidelity import Fidelity
from ..canonical.reading import fields_of, is_true, items_of, member_text, text_of
from ..embeddings.call import EmbeddingCall, Input, MixedInput, Picture

_Raw = msgspec.Raw
_ENCODE: Final = msgspec.json.Encoder().encode
_NAME: Final = msgspec.json.Decoder(str)
# In the path, and so in no body.
MODEL: Final = "modelId"
TEXT: Final = "inputText"
IMAGE: Final = "inputImage"
_CONFIG: Final = "embeddingConfig"
_TYPES: Final = "embeddingTypes"
_READ: Final = NameTable((MODEL, TEXT, IMAGE))
_KNOWN: Final = frozenset({MODEL, TEXT, IMAGE, _CONFIG, _TYPES, "dimensions", "normalize"})
_NAMED: Final = NameTable(("model",))
_FIRST: Final = re.compile(r"titan-embed-(?:text-v1|g1-text)")
_OF_IMAGES: Final = re.compile(r"titan-embed-image")
# "Amazon Titan Embeddings G1 - Text": the only size there is.
_FIRST_SIZE: Final = b"1536"
_MOST: Final = 2**31


_NULL: Final = _Raw(b"null")


class _Vector(msgspec.Struct):
    embedding: _Raw = _NULL
    tokens: float = msgspec.field(name="inputTextTokenCount", default=0)
    by_type: dict[str, _Raw] | None = msgspec.field(name="embeddingsByType", default=None)
    message: str | None = None


_VECTOR: Final = msgspec.json.Decoder(_Vector)


class TitanRequest(TextlessBody, frozen=True):
    """A text, an image or both."""

    def body_for(self, recipient: Recipient) -> bytes:
        """Return the body to send; the recipient's name of the model stands in its target."""
        return splice(self.body, remove=(MODEL,), known=self.members)

    def rewrite_answer(self, recipient: Recipient, name: bytes, body: bytes) -> Answer:
        """Return `body` as it is: it does not name the model. Raises NotAnAnswer."""
        try:
            found = _VECTOR.decode(body)
        except (msgspec.DecodeError, RecursionError) as exc:
            raise NotAnAnswer(f"the answer is none of this API's: {exc}") from exc
        if found.message:
            # Its documentation: what went wrong while it was made.
            raise NotAnAnswer("the answer is an error with status 200", error=body)
        if bytes(found.embedding) == b"null" and not found.by_type:
            raise NotAnAnswer("the answer has no embedding")
        usage = Usage(int(found.tokens)) if 0 < found.tokens < _MOST else None
        if usage is not None and any(each.key == IMAGE for each in self.members):
            # An image has a price of its own, and is not counted.
            usage = msgspec.structs.replace(usage, partial=True)
        return Answer(body, usage)


def parse_titan(body: bytes, model: str = "") -> TitanRequest:
    """Read a request body. Raises InvalidRequest (400) with what is wrong and where.

    `model` is what its path says; without it, the body does.
    """
    found = members_of_body(body, _READ)
    values = {each.key: body[each.value_start : each.end] for each in found if each.key == MODEL}
    if model:
        check_unnamed(found)
    else:
        model = string_of(values.get(MODEL, b'""'), MODEL)
    if not model:
        raise InvalidRequest("the model must not be empty", param=MODEL)
    return TitanRequest(body, found, model)


def check_unnamed(found: list[JsonMember]) -> None:
    """Raise InvalidRequest (400) for a body with a model, which only some servers would read."""
    if any(_NAMED[each.key] or each.key == MODEL for each in found):
        raise InvalidRequest("the model stands in the path", param="model")


class TitanVectors:
    """See `embeddings.translation.EmbeddingApi`."""

    operation = "bedrock_titan_embed"

    def most_inputs(self, call: EmbeddingCall) -> int:
        return 1

    def read_call(self, request: DialectRequest, fidelity: Fidelity) -> EmbeddingCall:
        fields = fields_of(request.body, "")
        for name in sorted(fields.keys() - _KNOWN):
            fidelity.hint(name)
        types = [
            text_of(each, _TYPES) for each in items_of(fields.get(_TYPES, _Raw(b"[]")), _TYPES)
        ]
        if any(each != "float" for each in types):
            fidelity.demand(_TYPES, "other APIs make vectors of floats only")
        size = fields.get("dimensions")
        if _CONFIG in fields:
            size = fields_of(fields[_CONFIG], _CONFIG).get("outputEmbeddingLength")
        return EmbeddingCall(
            inputs=[_input(member_text(fields, TEXT, "", ""), member_text(fields, IMAGE, "", ""))],
            dimensions=size,
            normalize=is_true(fields["normalize"]) if "normalize" in fields else None,
            paths={
                "inputs": TEXT,
                "dimensions": "dimensions" if _CONFIG not in fields else _CONFIG,
            },
        )

    def write_call(self, call: EmbeddingCall, model: bytes, fidelity: Fidelity) -> DialectRequest:
        name = _NAME.decode(model)
        takes_images = _OF_IMAGES.search(name) is not None
        body: dict[str, Any] = {MODEL: name, **_written(call, fidelity, takes_images=takes_images)}
        size = call.dimensions
        if _FIRST.search(name):
            if size is not None and bytes(size) != _FIRST_SIZE:
                why = f"its vectors have {_FIRST_SIZE.decode()} dimensions"
                fidelity.demand(call.path("dimensions"), why)
            if call.normalize:
                fidelity.demand(call.path("normalize"), "it does not normalize vectors")
        elif takes_images:
            if size is not None:
                body[_CONFIG] = {"outputEmbeddingLength": size}
            if call.normalize is not None:
                fidelity.demand(call.path("normalize"), "it has no such option")
        else:
            if size is not None:
                body["dimensions"] = size
            if call.normalize is not None:
                body["normalize"] = call.normalize
        # Its models make the same vectors for all purposes, and refuse a text that is too long.
        call.leave_out(fidelity, "purpose", "title", "truncate", "user")
        return parse_titan(_ENCODE(body))

    def read_vectors(self, body: bytes) -> list[_Raw]:
        found = _VECTOR.decode(body)
        if bytes(found.embedding) != b"null":
            return [found.embedding]
        if found.by_type is None or "float" not in found.by_type:
            raise ValueError("there is none of floats")
        return [found.by_type["float"]]

    def write_answer(
        self, call: EmbeddingCall, vectors: list[_Raw], model: bytes, usage: Usage | None
    ) -> bytes:
        found: dict[str, Any] = {"embedding": vectors[0], "embeddingsByType": {"float": vectors[0]}}
        found["inputTextTokenCount"] = 0 if usage is None else usage.input_tokens
        return _ENCODE(found)


def _input(text: str, image: str) -> Input:
    if not image:
        if not text:
            raise InvalidRequest(f"{TEXT} is missing", param=TEXT)
        return text
    # The format is not said; its documentation has PNG and JPEG.
    kind = "png" if image.startswith("iVBOR") else "jpeg"
    picture = Picture(f"data:image/{kind};base64,{image}")
    return MixedInput((text, picture) if text else (picture,), IMAGE)


def _written(call: EmbeddingCall, fidelity: Fidelity, *, takes_images: bool) -> dict[str, Any]:
    (only,) = call.inputs
    if not takes_images or not isinstance(only, MixedInput):
        (text,) = call.texts(fidelity, "the model")
        return {TEXT: text}
    body: dict[str, Any] = {TEXT: only.text} if only.text else {}
    first, *more = only.pictures
    if more:
        fidelity.demand(only.path, "the model takes one image at once")
    data = data_of_url(first.url)[1]
    if data is None:
        fidelity.demand(only.path, "the model takes images by their content")
        (body[TEXT],) = call.texts(fidelity, "the model")
    else:
        body[IMAGE] = data
    return body
