"""Embeddings and moderations: numbers that depend on the input alone, and mean nothing."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from collections.abc import Iterator
from typing import Annotated, Final, Literal

import msgspec

from .reply import count, encode, id_of

_DIMENSIONS: Final = 64
_Tokens = list[int]
# OpenAI's, of omni-moderation-latest (platform.openai.com/docs/guides/moderation).
_CATEGORIES: Final = (
    *("harassment", "harassment/threatening", "hate", "hate/threatening", "illicit"),
    *("illicit/violent", "self-harm", "self-harm/intent", "self-harm/instructions", "sexual"),
    *("sexual/minors", "violence", "violence/graphic"),
)


class _Input(msgspec.Struct):
    model: str
    input: str | list[str | int | _Tokens]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=4096)] | None = None

    def texts(self) -> list[str | _Tokens]:
        """Return each of the inputs."""
        if isinstance(self.input, str):
            return [self.input]
        tokens = [each for each in self.input if isinstance(each, int)]
        return [tokens] if tokens else [each for each in self.input if not isinstance(each, int)]


class _Content(msgspec.Struct):
    model: str
    input: str | list[str | dict[str, object]]


_input: Final = msgspec.json.Decoder(_Input).decode
_content: Final = msgspec.json.Decoder(_Content).decode


class _Numbers:
    stream = False
    pace = 1

    def __init__(self, found: dict[str, object]) -> None:
        self._found = found

    def whole(self) -> bytes:
        return encode(self._found)

    def events(self) -> Iterator[bytes]:
        yield from ()


class Embeddings(_Numbers):
    def __init__(self, body: bytes, created: int) -> None:
        asked = _input(body)
        texts = asked.texts()
        used = sum(len(each) if isinstance(each, list) else count(each) for each in texts)
        vectors = [_vector(each, asked.dimensions or _DIMENSIONS) for each in texts]
        plain = asked.encoding_format != "base64"
        super().__init__(
            {
                "object": "list",
                "data": [
                    {
                        "object": "embedding",
                        "index": index,
                        "embedding": vector if plain else _packed(vector),
                    }
                    for index, vector in enumerate(vectors)
                ],
                "model": asked.model,
                "usage": {"prompt_tokens": used, "total_tokens": used},
            }
        )


class Moderations(_Numbers):
    def __init__(self, body: bytes, created: int) -> None:
        asked = _content(body)
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        result = {
            "flagged": False,
            "categories": dict.fromkeys(_CATEGORIES, False),
            "category_scores": dict.fromkeys(_CATEGORIES, 0.0),
            "category_applied_input_types": {name: ["text"] for name in _CATEGORIES},
        }
        # The parts of one input have one result, texts one each.
        parts = any(isinstance(each, dict) for each in texts)
        results = [result] * (1 if parts else len(texts))
        super().__init__({"id": f"modr-{id_of(body)}", "model": asked.model, "results": results})


def vector_of(text: str, dimensions: int | None) -> list[float]:
    """Return the vector of a text."""
    return _vector(text, dimensions or _DIMENSIONS)


def _vector(text: str | _Tokens, dimensions: int) -> list[float]:
    """Return numbers from -1 to 1, as floats of 32 bits, whose squares add up to 1."""
    seed = text.encode("utf-8", "replace") if isinstance(text, str) else repr(text).encode()
    drawn = hashlib.shake_256(seed).digest(dimensions)
    length = math.sqrt(sum((each - 127.5) ** 2 for each in drawn))
    packed = struct.pack(f"<{dimensions}f", *((each - 127.5) / length for each in drawn))
    return [*struct.unpack(f"<{dimensions}f", packed)]


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
