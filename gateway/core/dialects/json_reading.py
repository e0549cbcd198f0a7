"""Reading documents of which nothing is certain, for a person: what is absent reads as nothing.

Requests come from callers and answers from providers, so anything may stand anywhere: what is not
understood is shown as it came, and nothing here raises for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from .conversation import Part, PartKind, text_part


def decoded(data: bytes) -> Any:
    """Return a document; None if it is none."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def as_json(value: Any) -> str:
    """Return text as it is, and everything else as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return msgspec.json.encode(value).decode()


def other(value: Any) -> Part:
    return text_part(PartKind.OTHER, as_json(value))


def sized(data: Any) -> int | None:
    """Return how many bytes a text in base64 stands for; None if there is none."""
    found = text(data)
    return len(found) * 3 // 4 if found else None


def tool_names(tools: Any) -> Iterator[str]:
    for tool in items(tools):
        yield text(member(tool, "name")) or text(member(tool, "type")) or "?"
