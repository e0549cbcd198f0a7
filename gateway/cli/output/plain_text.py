"""Text from elsewhere, made harmless for a terminal.

A model can be talked into answering with escape sequences, and a terminal obeys them: they
change what was printed before, set the title, write to the clipboard.
"""

from __future__ import annotations

import re
from typing import Final

# C0 and C1 controls but LF and tab; what ends lines beside LF; what turns the direction of
# writing or cannot be seen (unicode.org/reports/tr36, section 2.10); lone surrogates.
_UNSAFE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    """Return `text` with what a terminal might obey, or hide, written as escapes."""
    return _UNSAFE.sub(_escaped, text)


def printable_line(text: str) -> str:
    """Like `printable`, in one line."""
    return printable(text).replace("\n", "\\n")


def printable_json(text: str) -> str:
    """Return the same JSON document, with the same written as JSON's escapes.

    None of it can stand outside of a string.
    """
    return _UNSAFE.sub(_escaped_in_json, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escaped_in_json(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
