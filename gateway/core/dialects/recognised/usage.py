"""The usage in an answer that is passed on unread, of whatever operation it may be.

Wherever a provider puts it, in a whole answer, in the events of a stream or in the lines of one,
it is an object behind a member of a known name. A name in a text is no such member: the quotes of a
text inside a text are escaped. Only a little of the answer is ever held.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import msgspec

from ...records.usage import Usage
from ..anthropic_messages.usage import MessageUsage
from ..openai_chat.usage.reports import UsageReports

# OpenAI's, Anthropic's, and all that are like them.
_MEMBER: Final = re.compile(rb'(?<!\\)"usage"\s*:\s*\{')
# Longer than any such name.
_OVERLAP: Final = 64
# No report is larger.
_MOST: Final = 16 * 1024


class _Reports(Protocol):
    def add(self, raw: bytes | msgspec.Raw) -> None: ...

    @property
    def usage(self) -> Usage | None: ...


# By the names of dialects; all others spell it as OpenAI does.
_READERS: Final[Mapping[str, Callable[[], _Reports]]] = {"anthropic_messages": MessageUsage}


class UsageFinder:
    """Finds the reports of usage in the bytes of one answer of a provider that speaks `dialect`."""

    def __init__(self, dialect: str) -> None:
        self._reports: _Reports = _READERS.get(dialect, UsageReports)()
        self._rest = b""

    def __repr__(self) -> str:
        return f"<UsageFinder {self.usage}>"

    @property
    def usage(self) -> Usage | None:
        """Return what was reported so far; None: nothing."""
        return self._reports.usage

    def feed(self, data: bytes) -> None:
        """Look at the next bytes of the answer."""
        data = self._rest + data
        pos = 0
        while (found := _MEMBER.search(data, pos)) is not None:
            start = found.end() - 1
            end = _object_end(data, start)
            if end is None:
                # Not all of it is here. What is too long is none, and is passed over.
                if len(data) - start < _MOST:
                    self._rest = data[found.start() :]
                    return
                end = start + 1
            else:
                self._reports.add(data[start:end])
            pos = end
        self._rest = data[max(pos, len(data) - _OVERLAP) :]


# What decides where an object ends: texts, in which braces mean nothing, and braces. A single quote
# begins a text whose end has not come yet.
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}"]', re.DOTALL)


def _object_end(data: bytes, start: int) -> int | None:
    """Return where the object ends that begins at `start`; None if that has not come yet."""
    depth = 0
    for token in _TOKEN.finditer(data, start, start + _MOST):
        if token[0] == b'"':
            return None
        depth += {b"{": 1, b"}": -1}.get(token[0], 0)
        if not depth:
            return token.end()
    return None
