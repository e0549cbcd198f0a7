"""Whom a body says that it is made for, by the members of every API that name a user."""

from __future__ import annotations

import json
from typing import Any

import msgspec


def named_users(body: bytes) -> list[Any]:
    """Return what stands where users are named; nothing for a body that cannot be read."""
    try:
        found = _decoded(body)
    except (ValueError, RecursionError):
        return []
    if not isinstance(found, dict):
        return []
    metadata = found.get("metadata")
    inner = metadata.get("user_id") if isinstance(metadata, dict) else None
    return [found.get("user"), found.get("safety_identifier"), inner]


def _decoded(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        return json.loads(data)
