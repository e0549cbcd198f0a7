"""Ids of tool calls for servers that take only short ones.

A conversation that began with another provider has that one's ids, and a fallback would be refused
for them. So each id that is not of nine letters and digits is replaced by nine that follow from it:
the same id by the same, in a call and in its result, and in every request of the conversation. They
are read by nobody but the model: what it calls has new ids, which are passed on as they are.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

import msgspec

from ...wire.splice import members, splice

_LENGTH: Final = 9
_FITS: Final = re.compile(r"[A-Za-z0-9]{9}")
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
# A body without either has no ids.
_CALLS: Final = b'"tool_call'
_DECODER: Final = msgspec.json.Decoder(list[Any], float_hook=msgspec.Raw)


def short_id(given: str) -> str:
    """Return `given` if it fits, else the nine characters that stand for it."""
    if _FITS.fullmatch(given):
        return given
    digest = hashlib.sha256(given.encode("utf-8", "surrogatepass")).digest()
    number = int.from_bytes(digest)
    found = ""
    for _ in range(_LENGTH):
        number, place = divmod(number, len(_ALPHABET))
        found += _ALPHABET[place]
    return found


def with_short_ids(body: bytes) -> bytes:
    """Return the body of a request with ids that fit; `body` itself if they do already."""
    if _CALLS not in body:
        return body
    found = members(body)
    at = next((each for each in found if each.key == "messages"), None)
    if at is None:
        return body
    try:
        messages = _DECODER.decode(body[at.value_start : at.end])
    except (msgspec.DecodeError, RecursionError):
        return body  # its provider says what is wrong with it
    changed = False
    for message in messages:
        if isinstance(message, dict):
            changed |= _shorten(message, "tool_call_id")
            calls = message.get("tool_calls")
            for call in calls if isinstance(calls, list) else ():
                changed |= isinstance(call, dict) and _shorten(call, "id")
    if not changed:
        return body
    return splice(body, replace={"messages": msgspec.json.encode(messages)}, known=found)


def _shorten(holder: dict[str, Any], key: str) -> bool:
    given = holder.get(key)
    if not isinstance(given, str) or (short := short_id(given)) == given:
        return False
    holder[key] = short
    return True
