"""Members by one of their two spellings.

ProtoJSON writes names in camelCase and reads snake_case as well (protobuf.dev, "ProtoJSON format").
Only objects of the API are read so: what stands in a schema or in arguments keeps its names.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from ...canonical.reading import Fields, fields_of, items_of

_SNAKE: Final = re.compile(r"_([a-z0-9])")


def members_of(raw: bytes | msgspec.Raw, path: str) -> Fields:
    """Return the members of an object in camelCase, without those that are null."""
    found = fields_of(raw, path)
    if not any("_" in name for name in found):
        return found
    return {_SNAKE.sub(lambda m: m[1].upper(), name): value for name, value in found.items()}


def listed(raw: bytes | msgspec.Raw, path: str) -> list[msgspec.Raw]:
    """Return the elements of a list, or the one object that stands for a list of one.

    Google's own examples have `"system_instruction": {"parts": {"text": "..."}}`.
    """
    if bytes(raw).startswith(b"{"):
        return [msgspec.Raw(bytes(raw))]
    return items_of(raw, path)
