"""Opaque state of another dialect's provider, in Bedrock's blocks: shown, read, and taken out.

A signature is text and stands with its tag (`canonical/opaque.py`). What is encrypted is a blob,
which is base64 of the tag and the state.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec

from ....errors import InvalidRequest
from ...wire.splice import members, splice
from ..canonical.opaque import TAG, TAG_IN_JSON, tagged, untagged
from ..canonical.reading import fields_of, items_of

_ENCODE: Final = msgspec.json.Encoder().encode
# The tag has 18 bytes, so its base64 is the beginning of that of all that begins so.
_TAG_IN_BLOB: Final = b'"' + base64.b64encode(TAG.encode())
_THINKING: Final = "reasoningContent"


def shown_blob(family: str, state: str) -> str:
    """Return encrypted state as the blob that a caller gets."""
    return base64.b64encode(tagged(family, state).encode("utf-8", "surrogatepass")).decode()


def read_blob(blob: str) -> tuple[str, str]:
    """Return the family and the state; a blob without a tag is its provider's own, as it is."""
    try:
        text = base64.b64decode(blob, validate=True).decode("utf-8", "surrogatepass")
    except (binascii.Error, ValueError):
        return "", blob
    family, state = untagged(text)
    return (family, state) if family else ("", blob)


def without_foreign_state(body: bytes) -> bytes:
    """Return `body`, a JSON object, without tagged state. Other messages keep their bytes."""
    if not _has_state(body):
        return body
    known = members(body)
    try:
        kept = {
            each.key: _cleaned_list(body[each.value_start : each.end])
            for each in known
            if each.key == "messages"
        }
    except InvalidRequest:
        # Of another form than the API has: the provider says what is wrong with it.
        return body
    return splice(body, replace=kept, known=known)


def _has_state(raw: bytes) -> bool:
    return TAG_IN_JSON in raw or _TAG_IN_BLOB in raw


def _cleaned_list(raw: bytes) -> bytes:
    cleaned = [_cleaned(each) for each in items_of(raw, "messages")]
    return _ENCODE([each for each in cleaned if each is not None])


def _cleaned(message: msgspec.Raw) -> msgspec.Raw | None:
    """Return a message without tagged state; None if nothing is left of it."""
    if not _has_state(bytes(message)):
        return message
    fields = fields_of(message, "messages")
    blocks = items_of(fields.get("content", msgspec.Raw(b"[]")), "content")
    kept = [each for each in blocks if not _is_foreign(each)]
    if not kept:
        return None
    fields["content"] = msgspec.Raw(_ENCODE(kept))
    return msgspec.Raw(_ENCODE(fields))


def _is_foreign(block: msgspec.Raw) -> bool:
    return _has_state(bytes(block)) and _THINKING in fields_of(block, "content")
