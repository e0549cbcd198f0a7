"""Vectors as Ollama has them, between two equal sides."""

from __future__ import annotations

from typing import Final

import msgspec

from ....errors import InvalidRequest
from ...records.usage import Usage
from ...wire.member_names import NameTable
from ...wire.splice import InvalidJSON, members, splice
from ..base import Answer, NotAnAnswer, Recipient
from ..bodies.plain_body import TextlessBody
from ..bodies.request_body import members_of_body, string_of

_READ: Final = NameTable(("model", "input"))
_MOST: Final = 2**31


class _Counted(msgspec.Struct):
    prompt_eval_count: float = 0


_COUNTED: Final = msgspec.json.Decoder(_Counted)


class EmbedRequest(TextlessBody, frozen=True):
    def rewrite_answer(self, recipient: Recipient, name: bytes, body: bytes) -> Answer:
        return _renamed(body, name)


def parse_embed(body: bytes) -> EmbedRequest:
    """Read a request body. Raises InvalidRequest (400) with what is wrong and where."""
    found = members_of_body(body, _READ)
    values = {each.key: body[each.value_start : each.end] for each in found if each.key == "model"}
    model = string_of(values.get("model", b'""'), "model")
    if not model:
        raise InvalidRequest("you must provide a model", param="model")
    return EmbedRequest(body, found, model)


def _renamed(body: bytes, name: bytes) -> Answer:
    try:
        found = members(body)
        counted = _COUNTED.decode(body).prompt_eval_count
    except (InvalidJSON, msgspec.DecodeError, RecursionError) as exc:
        raise NotAnAnswer(f"the answer is none of this API's: {exc}") from exc
    names = {each.key for each in found}
    if "error" in names:
        raise NotAnAnswer("the answer is an error with status 200", error=body)
    if "embeddings" not in names:
        raise NotAnAnswer("the answer has no embeddings")
    usage = Usage(int(counted)) if 0 < counted < _MOST else None
    return Answer(splice(body, replace={"model": name}, known=found), usage)
