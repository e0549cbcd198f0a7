"""Requests that are answered with numbers: countTokens, embedContent and batchEmbedContents.

The model stands in the path, and in the bodies again: of each request of a batch, and of the
request whose tokens are counted. A provider gets its own name of it there, too.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ....errors import InvalidRequest
from ...records.usage import Usage
from ...wire.json_scan import NOTHING
from ...wire.member_names import NameTable
from ...wire.splice import InvalidJSON, members, splice
from ..base import Answer, NotAnAnswer, Recipient
from ..bodies.plain_body import TextlessBody
from ..bodies.request_body import members_inside, members_of_body
from .models import resource_name
from .request import ContentRequest, PathCall, parse_content
from .state.foreign_state import without_foreign_state
from .unstreamed import reported
from .usage import read_usage

_READ: Final = NameTable(("model", "contents", "content", "requests"))
_MODEL: Final = NameTable(("model",))
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_NAME: Final = msgspec.json.Decoder(str)
_ENCODE: Final = msgspec.json.Encoder().encode
_INNER: Final = ("generateContentRequest", "generate_content_request")
_BATCH: Final = "requests"
# Google takes 100 (ai.google.dev, "Embeddings"). Each has some objects in it.
_MOST_REQUESTS: Final = 1000
_MOST_BRACES: Final = 100 * _MOST_REQUESTS
# What is read of an answer is shorter; its numbers are never copied.
_LONGEST: Final = 64 * 1024


class NumberRequest(TextlessBody, frozen=True, kw_only=True):
    """A request for numbers. `holders` name the members of an answer of which it has one."""

    holders: tuple[str, ...]

    def body_for(self, recipient: Recipient) -> bytes:
        """Return the body to send, with the recipient's name of the model wherever it has one."""
        name = _ENCODE(resource_name(_NAME.decode(recipient.model_json)))
        replace = {"model": name}
        for member in self.members:
            raw = self.body[member.value_start : member.end]
            if member.key in _INNER and raw.startswith(b"{"):
                replace[member.key] = without_foreign_state(_renamed(raw, name))
            elif member.key == _BATCH and raw.startswith(b"["):
                replace[member.key] = _renamed_all(raw, name)
        return without_foreign_state(splice(self.body, replace=replace, known=self.members))

    def rewrite_answer(self, recipient: Recipient, name: bytes, body: bytes) -> Answer:
        """Return `body` as it is: it does not name the model. Raises NotAnAnswer."""
        try:
            found = members(body)
        except InvalidJSON as exc:
            raise NotAnAnswer(f"the answer is not a JSON object: {exc}") from exc
        fields = {
            each.key: body[each.value_start : each.end]
            for each in found
            if each.end - each.value_start <= _LONGEST
        }
        if not any(each.key in self.holders for each in found):
            if (error := reported(body, fields)) is not None:
                raise NotAnAnswer("the answer is an error with status 200", error=error)
            raise NotAnAnswer(f"the answer has no {self.holders[0]}")
        return Answer(body, _usage(fields))


def parse_numbers(body: bytes, model: str, holders: tuple[str, ...]) -> NumberRequest:
    """Read a request body. Raises InvalidRequest (400) with what is wrong and where."""
    found = members_of_body(body, _READ)
    if not model:
        raise InvalidRequest("model must not be empty", param="model")
    for member in found:
        raw = body[member.value_start : member.end]
        if member.key in _INNER and raw.startswith(b"{"):
            members_inside(raw, member.key, _MODEL)
        elif member.key == _BATCH:
            _check_batch(raw)
    return NumberRequest(body=body, members=found, model=model, holders=holders)


def counted_content(body: bytes, model: str) -> ContentRequest:
    """Return the request whose tokens `body` asks for. Raises InvalidRequest."""
    for member in members_of_body(body, _READ):
        raw = body[member.value_start : member.end]
        if member.key in _INNER and raw.startswith(b"{"):
            body = raw
    return parse_content(body, PathCall(model))


def _usage(fields: dict[str, bytes]) -> Usage | None:
    """Return the usage; all tokens are of the input, also where a total alone says it."""
    raw = fields.get("usageMetadata", b"null")
    found = None if raw in NOTHING else read_usage(raw)
    return None if found is None else Usage(input_tokens=found.total)


def _check_batch(raw: bytes) -> None:
    """Raise InvalidRequest (400) for a batch in which some reader could find another model."""
    try:
        items = _ITEMS.decode(raw) if raw.count(b"{") <= _MOST_BRACES else None
    except (msgspec.DecodeError, RecursionError) as exc:
        raise InvalidRequest("requests must be an array", param=_BATCH) from exc
    if items is None or len(items) > _MOST_REQUESTS:
        raise InvalidRequest(f"more than {_MOST_REQUESTS} requests", param=_BATCH)
    for number, item in enumerate(items):
        members_inside(bytes(item), f"requests[{number}]", _MODEL)


def _renamed(raw: bytes, name: bytes) -> bytes:
    return splice(raw, replace={"model": name})


def _renamed_all(raw: bytes, name: bytes) -> bytes:
    return b"[%b]" % b",".join([_renamed(bytes(item), name) for item in _ITEMS.decode(raw)])
