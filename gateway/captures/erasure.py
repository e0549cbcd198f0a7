"""Removes the captures of some requests, of a key or of a user."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from ..core.capture.transcript import RequestLine
from .files import list_captures, read_file, remove_file


def erase_captures(
    folder: Path,
    *,
    requests: Collection[str] = (),
    token: str | None = None,
    user: str | None = None,
) -> int:
    """Remove the files of requests with these ids, of `token`, or whose body names `user`.

    Return how many. Raises OSError. Each file is read: its name need not say what is in it.
    """
    removed = 0
    for file in list_captures(folder):
        found = read_file(folder, file)
        if found is None:
            continue
        request = found.request
        if (
            request.id in requests
            or (token is not None and request.token == token)
            or (user is not None and user in _users(request))
        ):
            removed += remove_file(folder, file)
    return removed


def _users(request: RequestLine) -> list[Any]:
    """Return who a request says that it is made for, in any of the APIs."""
    try:
        body = _decoded(request.body.data)
    except (ValueError, RecursionError):
        return []
    if not isinstance(body, dict):
        return []
    metadata = body.get("metadata")
    inner = metadata.get("user_id") if isinstance(metadata, dict) else None
    return [body.get("user"), body.get("safety_identifier"), inner]


def _decoded(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        return json.loads(data)
