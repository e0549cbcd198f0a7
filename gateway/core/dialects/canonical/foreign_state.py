"""Opaque state of another dialect's provider, taken out of a request that is sent on as it came.

A conversation may move from a model behind one API to one behind another, by a fallback for one.
What a caller then replays has signatures that the gateway has tagged (`opaque`), and the provider
would refuse. Messages without such a signature keep their bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from ....errors import InvalidRequest
from ...wire.splice import members, splice
from .opaque import TAG, TAG_IN_JSON
from .reading import Fields, fields_of, items_of, member_text

_ENCODE: Final = msgspec.json.Encoder().encode
_TILDE: Final = TAG_IN_JSON[1]
_DETAILS: Final = "reasoning_details"
# Where a block of thinking has its signature, or an item of reasoning.
_SIGNATURES: Final = ("signature", "data")
_ENCRYPTED: Final = "encrypted_content"
# Where a search shows what it has found, and where that, and what cites it, is looked up again.
_FOUND: Final = "web_search_tool_result"
_POINTERS: Final = ("encrypted_content", "encrypted_index")
# Where a conversation stands: in chats and Messages, and in Responses.
_PLACES: Final = ("messages", "input")


def without_foreign_state(body: bytes) -> bytes:
    """Return `body`, a JSON object, without tagged state."""
    # Nearly all requests end here. To look for one byte takes a tenth of the time (25 us a MB), and
    # the tag begins with one that few bodies have.
    if _TILDE not in body or TAG_IN_JSON not in body:
        return body
    known = members(body)
    found = {each.key: body[each.value_start : each.end] for each in known if each.key in _PLACES}
    try:
        kept = {name: _without_state(raw, name) for name, raw in found.items()}
    except InvalidRequest:
        # Of another form than the API has: the provider says what is wrong with it.
        return body
    return splice(body, replace=kept, known=known)


def _without_state(raw: bytes, name: str) -> bytes:
    if not raw.startswith(b"["):
        return raw
    cleaned = [_cleaned(each) for each in items_of(raw, name)]
    return _ENCODE([each for each in cleaned if each is not None])


def _cleaned(message: msgspec.Raw) -> msgspec.Raw | None:
    """Return a message without tagged state; None if nothing is left of it."""
    if TAG_IN_JSON not in bytes(message):
        return message
    fields = fields_of(message, "messages")
    if member_text(fields, _ENCRYPTED, "", "").startswith(TAG):
        # An item of reasoning; all of it belongs to the other provider.
        return None
    if _DETAILS in fields and TAG_IN_JSON in bytes(fields[_DETAILS]):
        del fields[_DETAILS]
    content = fields.get("content")
    if content is not None and bytes(content).startswith(b"["):
        blocks = list(_kept_blocks(items_of(content, "content")))
        if not blocks:
            return None
        fields["content"] = msgspec.Raw(_ENCODE(blocks))
    return msgspec.Raw(_ENCODE(fields))


def _kept_blocks(blocks: list[msgspec.Raw]) -> Iterator[msgspec.Raw]:
    """Yield the blocks of a message but for thinking and searches of other providers."""
    foreign = [block for block in blocks if TAG_IN_JSON in bytes(block)]
    read = [(block, fields_of(block, "content")) for block in foreign]
    searches = {
        bytes(fields.get("tool_use_id", b""))
        for _, fields in read
        if _kind(fields) == _FOUND and _pages(fields, "content")
    }
    for block in blocks:
        if TAG_IN_JSON not in bytes(block):
            # The call of a search goes with what it has found.
            if searches and bytes(fields_of(block, "content").get("id", b"")) in searches:
                continue
            yield block
            continue
        fields = fields_of(block, "content")
        kind = _kind(fields)
        if kind == _FOUND and _pages(fields, "content"):
            continue
        if kind.endswith("thinking") and _is_signed(fields):
            continue
        if kind == "text" and "citations" in fields and (cited := _pages(fields, "citations")):
            rest = [
                each for each in items_of(fields["citations"], "citations") if each not in cited
            ]
            fields["citations"] = msgspec.Raw(_ENCODE(rest))
            if not rest:
                del fields["citations"]
            yield msgspec.Raw(_ENCODE(fields))
            continue
        yield block


def _kind(fields: Fields) -> str:
    return member_text(fields, "type", "content", "")


def _is_signed(fields: Fields) -> bool:
    return any(member_text(fields, name, "", "").startswith(TAG) for name in _SIGNATURES)


def _pages(fields: Fields, name: str) -> list[msgspec.Raw]:
    """Return the pages of a list that only another provider could look up again."""
    raw = fields.get(name, msgspec.Raw(b""))
    if not bytes(raw).startswith(b"["):
        return []
    found = []
    for each in items_of(raw, name):
        page = fields_of(each, name)
        if any(member_text(page, key, "", "").startswith(TAG) for key in _POINTERS):
            found.append(each)
    return found
