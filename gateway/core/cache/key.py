"""The key of a request in the response cache: equal for requests that mean the same, only.

Two bodies that differ in white space, in the order of an object's members or in how a string
is escaped are one request. All else is a difference: the order of an array, 1 and 1.0 (some
servers choose an integer or a float type by it), and every option, known to us or not.

Numbers are never read as such, since a float would make one of many long ones; they keep the
text they have. An object with a key twice has no key here at any depth: readers disagree on
which of the two counts, so that the same value to us might be two to providers.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

import msgspec

# Up to here a body is put into canonical form: 70 us for a usual one of 16 KiB, but callers
# choose what they send, and 256 KiB of numbers take 18 ms in which every request waits. What is
# larger (images, mostly) is the same request only if it is the same bytes.
CANONICAL_BYTES: Final = 256 * 1024


class _DuplicateKey(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DuplicateKey
    return found


# `Raw` is what the encoder below writes out as it is: numbers pass through as text. msgspec's
# own decoder is faster but keeps the last of duplicate keys silently and reads numbers.
_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_int=msgspec.Raw,
    parse_float=msgspec.Raw,
    parse_constant=msgspec.Raw,
)
_ENCODER: Final = msgspec.json.Encoder(order="deterministic")


def canonical(body: bytes) -> bytes | None:
    """Return the one form of all bodies with the meaning of `body`, in JSON.

    None if there is none: no JSON, a duplicate key, a lone surrogate, nested too deeply.
    """
    try:
        return _ENCODER.encode(_DECODER.decode(body.decode()))
    except (ValueError, RecursionError):
        return None


def cache_key(
    dialect: str, name: str, digest: bytes, model: str, fingerprint: bytes, body: bytes
) -> bytes | None:
    """Return the key of a request, 32 bytes; None if it must not be cached.

    `dialect` is what body and answer are written in, since an answer is kept as it was sent.
    `name` and `digest` are the caller's, so that no caller is shown what another has paid for;
    `model` is the requested name, and `fingerprint` changes with what is behind it.
    """
    small = len(body) <= CANONICAL_BYTES
    form = canonical(body) if small else body
    if form is None:
        return None
    kind = b"json" if small else b"bytes"
    hashed = hashlib.sha256()
    for part in (kind, dialect.encode(), name.encode(), digest, model.encode(), fingerprint):
        # With its length, so that no two ways to cut the same bytes are the same key.
        hashed.update(len(part).to_bytes(8, "big"))
        hashed.update(part)
    hashed.update(form)
    return hashed.digest()
