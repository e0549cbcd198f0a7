"""The secrets of keys."""

from __future__ import annotations

import secrets
import string
from typing import Final

# So that scanners for leaked secrets can tell it from other keys.
KEY_PREFIX: Final = "sk-gw-"
_KEY_BYTES: Final = 32
# As long as Amazon's ids of access keys, and with a beginning of its own.
_ID_PREFIX: Final = "GWAK"
_ID_CHARS: Final = 16
_ALPHABET: Final = string.ascii_uppercase + string.digits


def new_secret() -> str:
    """Return a secret that nobody has had before."""
    return KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)


def new_key_id() -> str:
    """Return the id of a pair of Amazon's kind that nobody has had before."""
    return _ID_PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_ID_CHARS))
