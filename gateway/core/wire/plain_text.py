"""Whether bytes are text at all, as what stands in messages and logs has to be."""

from __future__ import annotations

import re
from typing import Final

# No text has these, but what is compressed soon does: all of C0 but white space and escape.
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
# Bytes that are looked at.
_START: Final = 1000


def is_text(data: bytes) -> bool:
    """Say whether the beginning of `data` can be text, in whatever encoding."""
    return _CONTROL.search(data, 0, _START) is None
