"""A request for vectors in Cohere's API, between two equal sides.

Texts, images, `input_type`, `embedding_types` and all else reach the provider to the byte, and its
numbers the caller: an answer does not name its model.
"""

from __future__ import annotations

from typing import Final

from ....errors import InvalidRequest
from ...wire.json_scan import NOTHING
from ...wire.member_names import NameTable
from ...wire.splice import InvalidJSON, members
from ..base import Answer, NotAnAnswer, Recipient
from ..bodies.plain_body import TextlessBody
from ..bodies.request_body import members_of_body, string_of
from .usage import read_usage

_READ: Final = NameTable(("model", "texts", "inputs", "images"))
_HOLDER: Final = "embeddings"
# What is read of an answer is shorter; its numbers are never copied.
_LONGEST: Final = 64 * 1024


class CohereEmbedRequest(TextlessBody, frozen=True):
    def rewrite_answer(self, recipient: Recipient, name: bytes, body: bytes) -> Answer:
        """Return `body` as it is. Raises NotAnAnswer."""
        try:
            found = members(body)
        except InvalidJSON as exc:
            raise NotAnAnswer(f"the answer is not a JSON object: {exc}") from exc
        fields = {
            each.key: body[each.value_start : each.end]
            for each in found
            if each.key != _HOLDER and each.end - each.value_start <= _LONGEST
        }
        if all(each.key != _HOLDER for each in found):
            if fields.get("message", b"null") not in NOTHING:
                raise NotAnAnswer("the answer is an error with status 200", error=body)
            raise NotAnAnswer("the answer has no embeddings")
        return Answer(body, read_usage(fields["meta"]) if "meta" in fields else None)


def parse_embed(body: bytes) -> CohereEmbedRequest:
    """Read a request body. Raises InvalidRequest (400) with what is wrong and where."""
    found = members_of_body(body, _READ)
    values = {each.key: body[each.value_start : each.end] for each in found if each.key == "model"}
    model = string_of(values.get("model", b'""'), "model")
    if not model:
        raise InvalidRequest("invalid request: model is required", param="model")
    return CohereEmbedRequest(body, found, model)
