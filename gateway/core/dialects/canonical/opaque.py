"""State that belongs to its provider, and travels in the caller's dialect.

A signature of thinking means something only to where it comes from: another provider refuses it.
So it is shown with a tag that names its family, replayed to that family it is restored to the
byte, and to another it is left out. The same dialect on both sides shows signatures without a tag.

    ~GATEWAY~STATE~1~:FAMILY:SIGNATURE

Ids of tool calls are the provider's, which another API may not allow (Anthropic's pattern is
`^[a-zA-Z0-9_-]+$`, Kimi's ids are `functions.get_weather:0`). Those become `gwid_` and base64, from
which they are restored.
"""

from __future__ import annotations

import base64
import re
from typing import Final

TAG: Final = "~GATEWAY~STATE~1~:"
# How the tag stands in a body: a string begins with it.
TAG_IN_JSON: Final = b'"~GATEWAY~STATE~1~:'
_ID: Final = "gwid_"
_ALLOWED: Final = re.compile(r"[a-zA-Z0-9_-]{1,256}")


def tagged(family: str, signature: str) -> str:
    """Return a signature as a caller gets it."""
    return f"{TAG}{family}:{signature}"


def untagged(shown: str) -> tuple[str, str]:
    """Return the family and the signature; the family is "" for one that has no tag."""
    if not shown.startswith(TAG):
        return "", shown
    family, _, signature = shown.removeprefix(TAG).partition(":")
    return family, signature


def shown_id(id: str) -> str:
    """Return the id of a call in letters that every API allows."""
    if _ALLOWED.fullmatch(id) and not id.startswith(_ID):
        return id
    return _ID + base64.urlsafe_b64encode(id.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def restored_id(shown: str) -> str:
    """Return the id that `shown` stands for."""
    if not shown.startswith(_ID):
        return shown
    text = shown.removeprefix(_ID)
    try:
        found = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        restored = found.decode("utf-8", "surrogatepass")
    except ValueError:
        return shown
    # Only what `shown_id` has made: a caller may have ids of its own that begin so.
    return restored if shown_id(restored) == shown else shown
