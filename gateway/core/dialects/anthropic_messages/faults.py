"""Errors that come with status 200 instead of an answer.

{"type": "error", "error": {...}}                          Anthropic's own object
{"error": {...}}                                           the same without its type
{"base_resp": {"status_code": 1008, "status_msg": "..."}}  MiniMax, with `content` null
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from ...wire.json_scan import NOTHING

_NULL: Final = b"null"
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def reported_by_answer(body: bytes, fields: Mapping[str, bytes]) -> bytes | None:
    """Return the error that a whole answer with these members reports instead of content."""
    if fields.get("content", _NULL) not in (_NULL, b"[]"):
        # Text with an error beside it is a text: the caller has an answer.
        return None
    if fields.get("error", _NULL) not in NOTHING or fields.get("type") == b'"error"':
        return body
    if "base_resp" in fields:
        return _in_base_resp(fields["base_resp"])
    return None


def _in_base_resp(raw: bytes) -> bytes | None:
    try:
        found = _OBJECT.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    if bytes(found.get("status_code", _NULL)) in NOTHING:
        return None
    message = bytes(found.get("status_msg", _NULL))
    if not message.startswith(b'"'):
        message = b'"the provider reports an error"'
    return b'{"type":"error","error":{"type":"api_error","message":%b},"base_resp":%b}' % (
        message,
        raw,
    )
