"""Our keys, taken out of what providers say: some repeat the whole of one in an error."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ...core.capture.redaction import MIN_SECRET, is_credential
from ...core.dialects.base import CUT
from ...core.routing.call import Headers
from ..outcomes import Failed

_CREDENTIALS = frozenset({b"authorization", b"api-key", b"x-api-key"})


def without_secrets(data: bytes, sent: Headers) -> bytes:
    """Return `data` without the keys of a call with the headers `sent`."""
    for key in _secrets(sent):
        data = data.replace(key, b"***")
    return data


def failed_without_secrets(failed: Failed, sent: Headers) -> Failed:
    """Return `failed` without the keys of a call with the headers `sent`."""
    for key in _secrets(sent):
        failed = _without(failed, key)
    return failed


def _secrets(sent: Headers) -> Iterator[bytes]:
    for name, value in sent:
        secret = value.rpartition(b" ")[2]
        # Of other headers we only go by the name; what is short is hardly a secret there.
        if (secret and name in _CREDENTIALS) or (
            len(secret) >= MIN_SECRET and is_credential(name.decode("latin-1"))
        ):
            yield secret


def _without(failed: Failed, key: bytes) -> Failed:
    text, message, answer = key.decode("latin-1"), failed.message, failed.answer
    message = message.replace(text, "***")
    if message.endswith(CUT):
        # What was shortened may end in the beginning of it.
        begun = message.removesuffix(CUT)
        known = next((n for n in range(len(text), 3, -1) if begun.endswith(text[:n])), 0)
        message = begun[: len(begun) - known] + CUT
    if answer is not None and key in answer.body:
        answer = msgspec.structs.replace(answer, body=answer.body.replace(key, b"***"))
    if message == failed.message and answer is failed.answer:
        return failed
    # What had a key in it is told to no caller.
    return msgspec.structs.replace(failed, message=message, answer=answer, told="")
