"""CountTokens: how many tokens a request of Converse or of InvokeModel has (botocore's model).

POST /model/MODEL/count-tokens    {"input": {"converse": {...}}}
                                  {"input": {"invokeModel": {"body": "BASE64"}}}
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from ....errors import InvalidRequest
from ...records.record import COUNT_TOKENS
from ...wire.member_names import NameTable
from ..anthropic_messages.dialect import ANTHROPIC_MESSAGES
from ..base import Answer, Dialect, Recipient
from ..bedrock_converse.dialect import BEDROCK_CONVERSE, BedrockConverse
from ..bedrock_converse.request import AskedModel, parse_converse
from ..bodies.request_body import members_inside, members_of_body, string_of
from ..bodies.textless import TextlessRequest
from ..needs import Needs
from .messages import VERSION, asked_messages
from .titan import check_unnamed

_PATH: Final = re.compile(r"/model/(.+)/count-tokens", re.DOTALL)
_READ: Final = NameTable(("input", "model", "modelId"))
_KINDS: Final = NameTable(("converse", "invokeModel"))
_BODY: Final = NameTable(("body",))
_MEMBERS: Final = NameTable(("model", "modelId", "messages", VERSION))
_EITHER: Final = 'input must have "converse", or "invokeModel" with a body of Anthropic\'s Messages'


class CountRequest(TextlessRequest, frozen=True):
    """`request` is the chat that is asked about, of `dialect`; nothing is sent as it came."""

    dialect: Dialect

    def needs(self, *, prompt: bool = True) -> Needs:
        return Needs()

    def body_for(self, recipient: Recipient) -> bytes:
        return self.request.body_for(recipient)

    def rewrite_answer(self, recipient: Recipient, name: bytes, body: bytes) -> Answer:
        raise TypeError("a count has no answer of a model")


class CountTokens(BedrockConverse):
    """The dialect of a path that names `model`."""

    name = "bedrock_count_tokens"
    operation = COUNT_TOKENS

    def __init__(self, model: str, path: str) -> None:
        super().__init__(None, path)
        self._model = model

    def read_request(self, body: bytes) -> CountRequest:
        found = members_of_body(body, _READ)
        check_unnamed(found)
        raw = next(
            (body[each.value_start : each.end] for each in found if each.key == "input"), b""
        )
        if not raw.startswith(b"{"):
            raise InvalidRequest("input must be an object", param="input")
        kinds = members_inside(raw, "input", _KINDS)
        if (chat := kinds.get("converse", b"null")) != b"null":
            return CountRequest(parse_converse(chat, AskedModel(self._model)), BEDROCK_CONVERSE)
        if (invoked := kinds.get("invokeModel", b"null")) != b"null":
            return self._invoked(members_inside(invoked, "input.invokeModel", _BODY))
        raise InvalidRequest(_EITHER, param="input")

    def _invoked(self, fields: dict[str, bytes]) -> CountRequest:
        path = "input.invokeModel.body"
        try:
            body = base64.b64decode(string_of(fields.get("body", b'""'), path), validate=True)
        except (binascii.Error, ValueError) as exc:
            raise InvalidRequest(f"{path} must be base64", param=path) from exc
        found = members_of_body(body, _MEMBERS)
        if all(each.key != VERSION for each in found):
            raise InvalidRequest(_EITHER, param=path)
        asked = asked_messages(body, found, self._model, stream=False)
        return CountRequest(ANTHROPIC_MESSAGES.read_request(asked.body), ANTHROPIC_MESSAGES)


def counted_by(path: str) -> Dialect | None:
    """Return the dialect of a request to `path`, which is decoded; None if it is none of its."""
    found = _PATH.fullmatch(path)
    return None if found is None else CountTokens(found[1], path)
