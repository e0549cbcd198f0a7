"""Entries added to a TOML file and cut out of it as text, so that no other byte changes.

Rendering the whole file anew would lose what only people write: comments and order.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any, Final

# A line break ends a statement unless it is in a string, an array or an inline table. Good for
# valid TOML only, which the text is by then.
_LEXEME: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}'  # up to two quotes may stand before the three that end it
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*"
    r"|[\[\]{}\n]"
    r"|[^\"'#\[\]{}\n]+",
    re.DOTALL,
)


def with_entry(text: str, entry: str) -> str:
    """Return `text` followed by `entry`, a text itself."""
    if text and not text.endswith("\n"):
        text += "\n"
    return f"{text}\n{entry}" if text else entry


def without_entry(text: str, number: int, table: str = "tokens") -> str | None:
    """Return `text` less its `[[table]]` of that number, counted from 0; None if it has none.

    An entry reaches to the next header that is not of a table within it. Of the comments in
    between those that follow its last key without a gap go with it, unless they stand directly
    above that header.
    """
    parts = _statements(text)
    begins = [at for at, part in enumerate(parts) if _header(part) == {table: [{}]}]
    if number >= len(begins):
        return None
    begin = begins[number]
    last, end = begin, begin + 1
    while end < len(parts) and not _is_foreign(_header(parts[end]), table):
        if parts[end].strip() and not _is_comment(parts[end]):
            last = end
        end += 1
    stop = after = last + 1
    while after < end and _is_comment(parts[after]):
        after += 1
    if after < end or end == len(parts):
        stop = after
    # The gap below goes too; at the end of the file, the one above.
    while stop < end and not parts[stop].strip():
        stop += 1
    while stop == len(parts) and begin and not parts[begin - 1].strip():
        begin -= 1
    return "".join(parts[:begin] + parts[stop:])


def _statements(text: str) -> list[str]:
    """Return `text` cut after every line break that ends a key, a header, a comment or nothing."""
    found = []
    start = depth = 0
    for lexeme in _LEXEME.finditer(text):
        if lexeme[0] in ("[", "{"):
            depth += 1
        elif lexeme[0] in ("]", "}"):
            depth -= 1
        elif lexeme[0] == "\n" and not depth:
            found.append(text[start : lexeme.end()])
            start = lexeme.end()
    return [*found, text[start:]] if start < len(text) else found


def _header(part: str) -> dict[str, Any] | None:
    """Return the tree that the header `part` alone would be; None if it is no header."""
    return tomllib.loads(part) if part.lstrip().startswith("[") else None


def _is_foreign(header: dict[str, Any] | None, table: str) -> bool:
    """Say whether a header ends the entry before it: it is not that of `[tokens.budget]`."""
    return header is not None and not isinstance(header.get(table), dict)


def _is_comment(part: str) -> bool:
    return part.lstrip().startswith("#")
