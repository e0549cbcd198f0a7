"""The form of an event that brings a piece of text, and nothing else that is new.

Nearly all events of a stream are the one before with another text in it. What was found out of the
first, by a whole reading, holds for all of them: a text without quotes, backslashes and control
characters is one JSON string whatever it says (RFC 8259 section 7), so in the same place between
the same bytes it leaves every other member as it was. To compare these bytes takes a fourth of the
time that reading and cutting takes (`python -m bench.micro rewrite`).
"""

from __future__ import annotations

import re
from typing import Final

# What names a text in an event's delta, and the text.
_TEXT: Final = re.compile(
    rb'"(?:content|reasoning_content|reasoning|refusal)":"([^"\\\x00-\x1f]+)"'
)
# Characters that stand for themselves in a JSON string, or none: it always matches.
_PLAIN: Final = re.compile(rb'[^"\\\x00-\x1f]*').match
# OpenAI fills each event up with random letters, so that its size does not tell the text's
# (platform.openai.com/docs/api-reference/chat/create, `include_obfuscation`).
_FILL: Final = b',"obfuscation":"'
# Choices that take turns, or a time that differs in each event, would have every event learned and
# none served. So learning has its price, in events that are served, and so much to begin with.
_PRICE: Final = 4
_AT_FIRST: Final = 8 * _PRICE


class TextForm:
    """The form of the event of one stream that was learned last.

    `size` is how many bytes of text the last event had that was of this form.
    """

    __slots__ = ("_after", "_before", "_credit", "_middle", "_new", "size")

    def __init__(self) -> None:
        self.size = 0
        # An event is `before`, its text, and `after`; or `before`, its text, `middle`, random
        # letters, and `after`. So is what becomes of it.
        self._before = b""
        self._middle = b""
        self._after = b""
        self._new = (b"", b"", b"")
        self._credit = _AT_FIRST

    def __repr__(self) -> str:
        return f"<TextForm, {self._credit} served more than learned>"

    def rewritten(self, data: bytes) -> bytes | None:
        """Return what becomes of `data`, which is UTF-8, if it is of this form; else None."""
        old = self._before
        if not old or not data.startswith(old):
            return None
        start = len(old)
        stop = end = _PLAIN(data, start).end()  # type: ignore[union-attr]
        before, middle, after = self._new
        if self._middle:
            if not data.startswith(self._middle, stop):
                return None
            fill = stop + len(self._middle)
            end = _PLAIN(data, fill).end()  # type: ignore[union-attr]
            after = middle + data[fill:end] + after
        if data[end:] != self._after:
            return None
        self._credit += 1
        self.size = stop - start
        return before + data[start:stop] + after

    def learn(self, data: bytes, delta: bytes, rewritten: bytes) -> None:
        """Take note of `data`, which has this delta and became `rewritten`.

        Of an event that says nothing that must be noted but its text: no error, no usage, no end.
        """
        if self._credit < _PRICE:
            return
        self._credit -= _PRICE
        found = list(_TEXT.finditer(delta))
        if len(found) != 1 or data.count(delta) != 1 or rewritten.count(delta) != 1:
            return
        start, stop = found[0].span(1)
        before, middle, after = _around(data, data.index(delta), start, stop)
        self._new = _around(rewritten, rewritten.index(delta), start, stop)
        if bool(middle) != bool(self._new[1]):
            return
        self._before, self._middle, self._after = before, middle, after


def _around(data: bytes, delta_at: int, start: int, stop: int) -> tuple[bytes, bytes, bytes]:
    """Return what is in front of the text, between it and random letters, and behind these."""
    before, after = data[: delta_at + start], data[delta_at + stop :]
    if after.count(_FILL) != 1:
        return before, b"", after
    fill = after.index(_FILL) + len(_FILL)
    return before, after[:fill], after[_PLAIN(after, fill).end() :]  # type: ignore[union-attr]
