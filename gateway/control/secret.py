"""The secrets of keys."""

from __future__ import annotations

import secrets
from typing import Final

# So that scanners for leaked secrets can tell it from other keys.
KEY_PREFIX: Final = "sk-gw-"
_KEY_BYTES: Final = 32


def new_secret() -> str:
    """Return a secret that nobody has had before."""
    return KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)
