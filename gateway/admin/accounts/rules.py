"""Which names and passwords users may have."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from ...errors import InvalidRequest

# ASCII only: two names that look the same are the same. In lower case, so that "Ann" is "ann".
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
# NIST SP 800-63B asks for 8 where there is a second factor and for 15 where there is none; twelve
# with a lock-out in front is what most password managers and people can agree on.
SHORTEST: Final = 12
LONGEST: Final = 256


def same_name(text: str) -> str:
    """Return the name as it is stored, whatever its case and the blanks around it."""
    return text.strip().lower()


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def valid_name(text: str) -> str:
    """Return the name as it is stored. Raises InvalidRequest."""
    name = same_name(text)
    if not is_name(name):
        raise InvalidRequest(
            "name must have 1 to 64 letters, digits and . _ @ + -, and begin with a letter or a"
            " digit.",
            param="name",
        )
    return name


def valid_password(text: str, name: str, param: str = "password") -> str:
    """Return `text` if a user of that name may have it as password. Raises InvalidRequest."""
    if not SHORTEST <= len(text) <= LONGEST:
        raise InvalidRequest(f"{param} must have {SHORTEST} to {LONGEST} characters.", param=param)
    if not text.strip() or len(set(text)) < 4 or same_name(text) == name:
        raise InvalidRequest(
            f"{param} is too easy to guess: it repeats few characters or is the name.", param=param
        )
    return text


def password_bytes(text: str) -> bytes:
    """Return what is hashed: the same on every keyboard (NIST SP 800-63B, 5.1.1.2, "NFKC")."""
    return unicodedata.normalize("NFKC", text).encode("utf-8", "surrogatepass")
