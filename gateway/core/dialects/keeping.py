"""Responses that the gateway keeps itself, for providers that keep none.

Their ids begin with `resp_gw`, and those of their items have the same digest, so that what a
request refers to tells who has it. A request that goes on from one gets the items of that one in
front of its own, and refers to nothing any more: whichever provider is asked, it is given the whole
conversation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Protocol

import msgspec

from ...errors import InvalidRequest
from ..wire.splice import InvalidJSON, splice
from .base import DialectRequest
from .canonical.reading import Fields, fields_of, is_text, items_of
from .openai_responses.event import text_of
from .openai_responses.request import OWN, ResponsesRequest, parse_responses

# An item's id: what it is, the digest of its response's id, and its number.
_ITEM: Final = re.compile(r"[a-z]{2,4}_gw([0-9a-f]{40})_[0-9]+")
_REFERENCE: Final = "item_reference"
_MARK: Final = b'"' + OWN.encode()
# How the events begin that end a whole stream.
_ENDS: Final = (b"event: response.completed\n", b"event: response.incomplete\n")
_ENCODE: Final = msgspec.json.Encoder().encode
# A request that refers to more than this is none that a client makes.
_MOST_REFERENCES: Final = 16


class ResponsesPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`store`: the gateway keeps responses for providers that do not.

    `max_bytes` is the most that one may have, with its input; of one key's no more are kept than
    `max_bytes_per_key`, the newest.
    """

    store: bool = False
    max_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 8 * 1024 * 1024
    max_bytes_per_key: Annotated[int, msgspec.Meta(ge=1024)] = 256 * 1024 * 1024


class KeptResponse(msgspec.Struct, frozen=True):
    """`response` is the object as its caller got it, `input` a list of all items it was made of.

    `request_id` and `token` are those of the request, by which it is erased.
    """

    id: str
    response: bytes
    input: bytes
    request_id: str | None = None
    token: str | None = None

    @property
    def size(self) -> int:
        return len(self.response) + len(self.input)


class ResponseKeeper(Protocol):
    """Where responses are kept. `owner` is the digest of the key that they were made for."""

    @property
    def policy(self) -> ResponsesPolicy: ...

    def configure(self, policy: ResponsesPolicy) -> None:
        """Go by `policy` from now on."""
        ...

    async def find(self, owner: bytes, id: str) -> KeptResponse | None:
        """Return a response; None if `owner` has none with that id. Raises StoreUnavailable."""
        ...

    async def keep(self, owner: bytes, kept: KeptResponse) -> None:
        """Keep a response. Raises StoreUnavailable."""
        ...

    async def forget(self, owner: bytes, id: str) -> bool:
        """Delete a response; say whether there was one. Raises StoreUnavailable."""
        ...


def is_own(id: str) -> bool:
    """Say whether the gateway has made the response `id`."""
    return id.startswith(OWN)


def prepared(request: DialectRequest, policy: ResponsesPolicy) -> DialectRequest:
    """Return the request, which from now on says whether its answer is to be kept."""
    if not policy.store or not isinstance(request, ResponsesRequest):
        return request
    members = {each.key: request.body[each.value_start : each.end] for each in request.members}
    wanted = members.get("store", b"true") != b"false" and len(request.body) <= policy.max_bytes
    return msgspec.structs.replace(request, kept=wanted)


def is_kept(request: DialectRequest) -> bool:
    """Say whether the answer to a request is to be kept, if the gateway makes it."""
    return isinstance(request, ResponsesRequest) and request.kept


def referred(request: DialectRequest) -> set[str]:
    """Return the ids of the gateway's own responses that a request goes on from."""
    found: set[str] = set()
    if not isinstance(request, ResponsesRequest):
        return found
    if request.continues is not None and request.continues.startswith(OWN):
        found.add(request.continues)
    if b'"item_reference"' in request.body:
        for item in _items(_input(request.body)):
            match = _ITEM.fullmatch(_id_of_reference(item))
            if match is not None and len(found) < _MOST_REFERENCES:
                found.add(OWN + match[1])
    return found


def resolved(request: DialectRequest, kept: Mapping[str, KeptResponse]) -> DialectRequest:
    """Return a request that says itself what it goes on from."""
    assert isinstance(request, ResponsesRequest)
    items: list[msgspec.Raw] = []
    before = kept.get(request.continues or "")
    if before is not None:
        items += _items(msgspec.Raw(before.input))
        items += _output(before)
    known: dict[str, msgspec.Raw] = {}
    for each in kept.values():
        known |= {text_of(fields_of(item, "output").get("id", b"")): item for item in _output(each)}
    for item in _items(_input(request.body)):
        id = _id_of_reference(item)
        items.append(known.get(id, item) if id else item)
    remove = () if before is None else ("previous_response_id",)
    body = splice(request.body, put={"input": _ENCODE(items)}, remove=remove)
    again = parse_responses(body)
    return msgspec.structs.replace(again, asked=request.body, kept=request.kept)


def kept_of(request: DialectRequest, response: bytes) -> KeptResponse | None:
    """Return what is to be kept of the answer to `request`; None if the gateway did not make it."""
    if _MARK not in response:
        return None
    try:
        id = text_of(fields_of(response, "").get("id", b""))
        items = [*_numbered(_items(_input(request.body)), id)]
    except InvalidRequest:
        return None
    if not id.startswith(OWN):
        return None
    return KeptResponse(id, response, _ENCODE(items))


def items_page(kept: KeptResponse, *, limit: int, after: str, newest_first: bool) -> bytes:
    """Return a page of the items that a response was made of, as the API lists them."""
    items = _items(msgspec.Raw(kept.input))
    if newest_first:
        items.reverse()
    ids = [text_of(fields_of(item, "input").get("id", b"")) for item in items]
    start = ids.index(after) + 1 if after in ids else 0
    page = items[start : start + limit]
    shown = ids[start : start + limit]
    return _ENCODE(
        {
            "object": "list",
            "data": page,
            "first_id": shown[0] if shown else None,
            "last_id": shown[-1] if shown else None,
            "has_more": start + limit < len(items),
        }
    )


def _input(body: bytes) -> msgspec.Raw:
    return fields_of(body, "").get("input", msgspec.Raw(b"[]"))


def _items(raw: msgspec.Raw) -> list[msgspec.Raw]:
    if is_text(raw):
        part = {"type": "input_text", "text": raw}
        return [msgspec.Raw(_ENCODE({"type": "message", "role": "user", "content": [part]}))]
    return items_of(raw, "input")


def _output(kept: KeptResponse) -> list[msgspec.Raw]:
    return items_of(fields_of(kept.response, "").get("output", msgspec.Raw(b"[]")), "output")


def _id_of_reference(item: msgspec.Raw) -> str:
    """Return the id that an item stands for; "" for one that stands for itself."""
    fields = fields_of(item, "input")
    kind = text_of(fields.get("type", b""))
    if kind == _REFERENCE or (not kind and fields.keys() == {"id"}):
        return text_of(fields.get("id", b""))
    return ""


def _numbered(items: list[msgspec.Raw], id: str) -> Iterator[msgspec.Raw]:
    """Yield items as the API lists them: each with an id and a type, texts as parts."""
    digest = id.removeprefix("resp_")
    for number, item in enumerate(items):
        fields = fields_of(item, "input")
        put: dict[str, bytes] = {}
        if "id" not in fields:
            put["id"] = _ENCODE(f"item_{digest}_in_{number}")
        if "type" not in fields:
            put["type"] = b'"message"'
        content = fields.get("content")
        if content is not None and is_text(content):
            put["content"] = _ENCODE([{"type": _text_type(fields), "text": content}])
        yield msgspec.Raw(splice(bytes(item), put=put)) if put else item


def _text_type(fields: Fields) -> str:
    return "output_text" if text_of(fields.get("role", b"")) == "assistant" else "input_text"


def last_event(data: bytes) -> bytes:
    """Return what of a stream's bytes the event is that ends it, and what follows; b"": none."""
    at = max(data.rfind(mark) for mark in _ENDS)
    return data[at:] if at >= 0 else b""


def response_in(event: bytes) -> bytes:
    """Return the `response` of the event that ends a stream, as it stands; b"" if it has none."""
    try:
        data = event.partition(b"data: ")[2].strip()
        return bytes(fields_of(data, "").get("response", msgspec.Raw(b"")))
    except (InvalidRequest, InvalidJSON):
        return b""
