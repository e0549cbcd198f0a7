"""What of a reasoning item its provider wants back, packed into one signature.

A provider takes reasoning back as the item that it was: its id, its encrypted content, and the
texts of its summary or its content, each as long as it was. Other APIs have one text and one
signature, so the signature has all but the texts.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

# Between two parts of a summary where they are one text.
BETWEEN_PARTS: Final = "\n\n"


class ReasoningState(msgspec.Struct, array_like=True):
    """`summary` and `content` are the lengths of their texts in characters."""

    id: str = ""
    encrypted: str = ""
    summary: list[int] = []
    content: list[int] = []


_DECODER: Final = msgspec.json.Decoder(ReasoningState)
_ENCODE: Final = msgspec.json.Encoder().encode


def packed(state: ReasoningState) -> str:
    """Return the signature; "" if there is nothing that could be sent back."""
    if not (state.encrypted or state.content):
        # A summary alone is for people. Its provider would look for the item by its id, and keeps
        # nothing of a request with `store: false`.
        return ""
    return _ENCODE(state).decode()


def restored_item(signature: str, text: str) -> dict[str, Any] | None:
    """Return the reasoning item of a signature and its text; None for what is none."""
    try:
        state = _DECODER.decode(signature)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    if not (state.encrypted or state.content):
        return None
    item: dict[str, Any] = {"type": "reasoning", "id": state.id, "summary": []}
    parts, kind, name = _parts(text, state.summary), "summary_text", "summary"
    if not state.summary and state.content:
        parts, kind, name = _parts(text, state.content), "reasoning_text", "content"
    item[name] = [{"type": kind, "text": each} for each in parts]
    if state.encrypted:
        item["encrypted_content"] = state.encrypted
    return item


def _parts(text: str, lengths: list[int]) -> list[str]:
    """Return the texts that `text` was put together from; itself if a client has changed it."""
    found, at = [], 0
    for length in lengths:
        found.append(text[at : at + length])
        at += length + len(BETWEEN_PARTS)
    if BETWEEN_PARTS.join(found) == text:
        return found
    return [text] if text else []
