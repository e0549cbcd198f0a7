"""Removes the captures of some requests, of a key or of a user."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ..core.capture.named_users import named_users
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
            or (user is not None and user in named_users(request.body.data))
        ):
            removed += remove_file(folder, file)
    return removed
