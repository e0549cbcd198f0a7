"""Errors that come with status 200, in each of the forms in which servers send them.

    {"error": {...}}                    OpenAI's object, with `choices` absent, null or empty
    {"object": "error", ...}            vLLM before 0.10: the object itself
    {"type": "error", ...}              the same of servers that think of Anthropic's API
    {"choices": [{"error": {...}}]}     OpenRouter (docs/api/reference/errors-and-debugging)
    {"choices": [{"finish_reason": "error"}]}
    event: error                        any data, an object, text or nothing

All of them become the first: it is the one at which OpenAI's SDKs raise (openai-python
`_streaming.py`), and the one that `errors` reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from ...wire.json_scan import NOTHING
from ...wire.splice import InvalidJSON, members, splice

FAILED: Final = b'"error"'
_SILENT: Final = b'{"message":"the provider reports an error","type":"upstream_error"}'
_NULL: Final = b"null"
# What a choice can answer with: of a whole message, or of the legacy completions.
_ANSWERS: Final = ("message", "delta", "text")

_CHOICES: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def values(data: bytes) -> dict[str, bytes]:
    """Return the top-level members of an object. Raises InvalidJSON, NotAnObject."""
    return {found.key: data[found.value_start : found.end] for found in members(data)}


def reported(data: bytes, fields: Mapping[str, bytes]) -> bytes | None:
    """Return the error that an object without choices reports, `data` with `error`; or None."""
    if fields.get("error", _NULL) not in NOTHING:
        return data
    if FAILED in (fields.get("object"), fields.get("type")):
        return b'{"error":%b}' % data
    return None


def reported_by_choice(data: bytes) -> bytes | None:
    """Return `data` with the `error` that one of its choices reports; None if none does."""
    try:
        choices = _CHOICES.decode(values(data).get("choices", _NULL))
    except (msgspec.DecodeError, InvalidJSON, RecursionError):
        return None
    for choice in choices:
        error = bytes(choice.get("error", _NULL))
        if error not in NOTHING or bytes(choice.get("finish_reason", _NULL)) == FAILED:
            return splice(data, put={"error": _SILENT if error in NOTHING else error})
    return None


def silent(data: bytes) -> bytes:
    """Return `data`, a chunk that reports an error in a form without words, with words for it."""
    return splice(data, put={"error": _SILENT})


def named(data: bytes) -> bytes:
    """Return the error of an `event: error`, whatever its data is."""
    try:
        fields = values(data)
    except InvalidJSON:
        text = data.decode("utf-8", "replace").strip()
        error = msgspec.json.encode({"message": text, "type": "upstream_error"})
        return b'{"error":%b}' % (error if text else _SILENT)
    found = reported(data, fields)
    if found is not None:
        return found
    return b'{"error":%b}' % (data if fields else _SILENT)


def reported_by_answer(body: bytes, fields: Mapping[str, bytes]) -> bytes | None:
    """Return the error that a whole answer with these members reports instead of its text."""
    if FAILED not in body and fields.get("error", _NULL) in NOTHING:
        return None
    by_choice = reported_by_choice(body)
    if by_choice is not None:
        return by_choice
    # Text with an error beside it, of whatever kind, is a text: the caller has an answer.
    return None if answers(fields.get("choices", _NULL)) else reported(body, fields)


def answers(choices: bytes) -> bool:
    """Say whether the raw `choices` of a whole answer have anything to show beside an error."""
    try:
        found = _CHOICES.decode(choices)
    except (msgspec.DecodeError, RecursionError):
        # An unknown form, but not nothing.
        return choices not in NOTHING
    return any(_says(choice.get(name)) for choice in found for name in _ANSWERS)


def _says(answer: msgspec.Raw | None) -> bool:
    if answer is None or bytes(answer) in NOTHING:
        return False
    try:
        fields = _OBJECT.decode(answer)
    except (msgspec.DecodeError, RecursionError):
        return True
    return any(key != "role" and bytes(value) not in NOTHING for key, value in fields.items())
