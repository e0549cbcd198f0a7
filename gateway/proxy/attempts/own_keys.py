"""Our keys, taken out of what providers say: some repeat the whole of one in an error.

A key may come back in other letters than it was sent in: JSON escapes any character (`\\u002d`, and
`/` as `\\/`), addresses and pages have escapes of their own, and Base64 hides it altogether.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from functools import cache, lru_cache, partial
from typing import Final

import msgspec

from ...core.capture.redaction import MIN_SECRET, is_credential
from ...core.dialects.base import CUT
from ...core.routing.call import Headers
from ...core.wire.binary.event_stream import encode_frame, frames_in
from ..outcomes import Failed
from ..protocols import HeaderPairs

_CREDENTIALS: Final = frozenset({b"authorization", b"api-key", b"x-api-key", b"x-goog-api-key"})
_HIDDEN: Final = b"***"
# Where keys may be written otherwise: JSON, addresses, pages, and how Python and JavaScript show a
# text.
_ESCAPES: Final = (b"\\u00", b"\\/", b"\\x", b"%", b"&#")
# Those that an answer may have: to look for them is all that most answers cost.
_JSON_ESCAPES: Final = (b"\\u00", b"\\/")
# What servers of one's own are called with, such as "lm-studio": words that any answer may have.
_WORDS: Final = re.compile(r"[A-Za-z]+(?:[-_ ][A-Za-z]+)*|sk-no-key-required")
_COMMENT: Final = re.compile(rb"(?m)^:[^\r\n]*")


class KeyMask:
    """Knows the keys of a call. Without any it does nothing."""

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        # The longest first: one may begin with another.
        self._keys = sorted(keys, key=len, reverse=True)
        self._spellings = [(key, pattern(key), _encoded(key)) for key in self._keys]
        # What is short, or a word, is no secret beside the text of an answer.
        self._sought = [key for key in self._keys if len(key) >= MIN_SECRET]
        self._shortest = min(map(len, self._sought), default=0)

    def __repr__(self) -> str:
        return f"<KeyMask of {len(self._keys)} keys>"

    def error(self, data: bytes) -> bytes:
        """Return the text of an error without the keys, however they are written."""
        return _within(data, self._error)

    def _error(self, data: bytes) -> bytes:
        escaped = any(each in data for each in _ESCAPES)
        for key, spelled, encoded in self._spellings:
            if key in data:
                data = data.replace(key, _HIDDEN)
            if len(key) < MIN_SECRET:
                continue
            if escaped:
                data = spelled.sub(_HIDDEN, data)
            for each in encoded:
                if each in data:
                    data = data.replace(each, _HIDDEN)
        return data

    def answer(self, data: bytes) -> bytes:
        """Return a part of an answer without the keys; most have none, and are returned as such."""
        for key in self._sought:
            if key in data:
                return _within(data, self._without)
        if _JSON_ESCAPES[0] in data or _JSON_ESCAPES[1] in data:
            return _within(data, self._without) if self._is_in(_plain(data)) else data
        return data

    def unfinished(self, data: bytes) -> int:
        """Return how many bytes at the end of `data` may be the beginning of a key."""
        most = 0
        for key in self._sought:
            for size in range(min(len(key) - 1, len(data)), most, -1):
                if data.endswith(key[:size]):
                    most = size
                    break
        return most

    def headers(self, pairs: HeaderPairs) -> HeaderPairs:
        """Return the headers of an answer without those that have a key."""
        if not self._sought:
            return pairs
        # However it is written, it is not shorter.
        least = self._shortest
        text = b"\n".join([value for _, value in pairs if len(value) >= least])
        if not text or self.error(text) == text:
            return pairs
        return [pair for pair in pairs if self.error(pair[1]) == pair[1]]

    def failed(self, failed: Failed) -> Failed:
        """Return `failed` without the keys."""
        message, answer = failed.message, failed.answer
        cut = message.endswith(CUT)
        clean = self.error(message.encode("utf-8", "surrogatepass"))
        message = clean.decode("utf-8", "surrogatepass")
        if cut:
            for key in self._keys:
                message = _without_beginning(message, key.decode("latin-1"))
        if answer is not None and (body := self.error(answer.body)) != answer.body:
            answer = msgspec.structs.replace(answer, body=body)
        told = self.error(failed.told.encode("utf-8", "surrogatepass"))
        if (
            message == failed.message
            and answer is failed.answer
            and len(told) == len(failed.told.encode("utf-8", "surrogatepass"))
        ):
            return failed
        # What had a key in it is told to no caller.
        return msgspec.structs.replace(failed, message=message, answer=answer, told="")

    def _is_in(self, data: bytes) -> bool:
        return any(key in data for key in self._sought)

    def _without(self, data: bytes) -> bytes:
        for key, spelled, _ in self._spellings:
            if len(key) < MIN_SECRET:
                continue
            if _WORDS.fullmatch(key.decode("latin-1")):
                # It may be the model's own word, but not a comment's.
                data = _COMMENT.sub(partial(_hide, spelled), data)
            else:
                data = spelled.sub(_HIDDEN, data)
        return data


def _within(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Return `data` changed; frames with checksums are whole frames afterwards."""
    changed = change(data)
    if changed == data or (frames := frames_in(data)) is None:
        return changed
    return b"".join(
        encode_frame(
            {name: change(value.encode()).decode() for name, value in each.headers.items()},
            change(each.payload),
        )
        for each in frames
    )


def mask_of(sent: Headers) -> KeyMask:
    """Return the mask of a call with the headers `sent`."""
    return _mask(tuple(_secrets(sent)))


# As many as a gateway has keys; access tokens come and go.
@lru_cache(maxsize=1024)
def _mask(keys: tuple[bytes, ...]) -> KeyMask:
    return KeyMask(keys)


def _secrets(sent: Headers) -> Iterator[bytes]:
    for name, value in sent:
        if not _may_be_secret(name):
            continue
        secret = value.rpartition(b" ")[2]
        # Of other headers we only go by the name; what is short is hardly a secret there.
        if secret and (name in _CREDENTIALS or len(secret) >= MIN_SECRET):
            yield secret


@cache
def _may_be_secret(name: bytes) -> bool:
    # The names are those of the configuration, so they are few.
    return name in _CREDENTIALS or is_credential(name.decode("latin-1"))


def pattern(key: bytes) -> re.Pattern[bytes]:
    """Return what finds `key` however its characters are written."""
    return re.compile(b"".join(_spellings(byte) for byte in key))


def _spellings(byte: int) -> bytes:
    char = bytes([byte])
    two = b"(?i:%02x)" % byte
    escapes = [
        re.escape(char),
        # Once more for each text that is quoted in another.
        rb"\\{1,8}u00" + two,
        rb"\\{1,8}x" + two,
        b"%(?:25){0,3}" + two,
        b"&#0*%d;" % byte,
        b"&#[xX]0*" + two + b";",
    ]
    if char in b'/"\\':
        escapes.append(rb"\\{1,8}" + re.escape(char))
    return b"(?:" + b"|".join(escapes) + b")"


def _encoded(key: bytes) -> tuple[bytes, ...]:
    """Return how `key` looks inside Base64, at each of the three places where it may begin, and in
    hexadecimal digits."""
    found = []
    for before in range(3):
        whole = b64encode(bytes(before) + key).rstrip(b"=")
        # The first and the last letters are also of what stands before and behind.
        skipped = -(-before * 8 // 6)
        inside = whole[skipped : (before + len(key)) * 8 // 6]
        found += [inside, inside.replace(b"+", b"-").replace(b"/", b"_")]
    in_hex = key.hex().encode()
    found += [in_hex, in_hex.upper()]
    return tuple(dict.fromkeys(each for each in found if len(each) >= MIN_SECRET))


_JSON_ESCAPE: Final = re.compile(rb"\\{1,8}(?:u00([0-7][0-9a-fA-F])|/)")


def _plain(data: bytes) -> bytes:
    """Return JSON with the escapes of ASCII undone, to look for a key in it."""
    return _JSON_ESCAPE.sub(lambda found: bytes([int(found[1], 16)]) if found[1] else b"/", data)


def _hide(spelled: re.Pattern[bytes], found: re.Match[bytes]) -> bytes:
    return spelled.sub(_HIDDEN, found[0])


def _without_beginning(message: str, key: str) -> str:
    """Return a shortened message that does not end in the beginning of a key."""
    begun = message.removesuffix(CUT)
    known = next((n for n in range(len(key), 3, -1) if begun.endswith(key[:n])), 0)
    return begun[: len(begun) - known] + CUT
