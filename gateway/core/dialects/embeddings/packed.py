"""Vectors as base64: numbers of four bytes, the least significant first (openai-python,
`resources/embeddings.py`)."""

from __future__ import annotations

import base64
import struct
from typing import Final

import msgspec

_NUMBERS: Final = msgspec.json.Decoder(list[float])
_TEXT: Final = msgspec.json.Decoder(str)


def packed(vector: msgspec.Raw) -> str:
    """Return a vector as base64. Raises ValueError for what is none."""
    numbers = _NUMBERS.decode(vector)
    try:
        return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode("ascii")
    except (struct.error, OverflowError) as exc:
        raise ValueError(f"a number is none of four bytes: {exc}") from exc


def unpacked(vector: msgspec.Raw) -> msgspec.Raw:
    """Return a vector as an array, whichever of the two it is. Raises ValueError."""
    if bytes(memoryview(vector)[:1]) != b'"':
        return vector
    data = base64.b64decode(_TEXT.decode(vector), validate=True)
    if len(data) % 4:
        raise ValueError("a vector is no array of numbers of four bytes")
    return msgspec.Raw(msgspec.json.encode(struct.unpack(f"<{len(data) // 4}f", data)))
