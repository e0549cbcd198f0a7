"""A file descriptor that takes lines, whole ones only."""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

# A line of this many bytes or less is written to a pipe in one piece (pipe(7)).
_PIPE_BUF: Final = select.PIPE_BUF


class Written(NamedTuple):
    """How many lines were written, and why no more were."""

    lines: int
    error: OSError | None


class LineFile:
    """Writes lines to `descriptor`, and never leaves one torn.

    A disk that is full takes the beginning of a line. The rest of it is kept and comes first when
    there is room again, so what follows does not stand behind half a line. Blocks, so it belongs
    into a thread, and into one at a time.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""

    def __repr__(self) -> str:
        return f"<LineFile {self._descriptor}{', torn' if self._rest else ''}>"

    def write(self, lines: Sequence[bytes]) -> Written:
        """Write `lines`, each with its end. One that is begun counts as written."""
        count = 0
        try:
            # Several workers share one pipe, and what is larger than this is not written in one
            # piece when the pipe is full: their lines would tear each other apart.
            shared = stat.S_ISFIFO(os.fstat(self._descriptor).st_mode)
            self._finish_line()
            for piece in _pieces(lines, _PIPE_BUF) if shared else [lines]:
                taken, error = self._write_whole(piece)
                count += taken
                if error is not None:
                    return Written(count, error)
        except OSError as exc:
            return Written(count, exc)
        return Written(count, None)

    def _finish_line(self) -> None:
        while self._rest:
            self._rest = self._rest[os.write(self._descriptor, self._rest) :]

    def _write_whole(self, lines: Sequence[bytes]) -> tuple[int, OSError | None]:
        """Write `lines` and keep the rest of the one that an error tears."""
        data = b"".join(lines)
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as exc:
            done = len(data) - len(view)
            count = 0
            for line in lines:
                if done <= 0:
                    break
                count += 1
                self._rest = line[done:]
                done -= len(line)
            return count, exc
        return len(lines), None


def _pieces(lines: Sequence[bytes], limit: int) -> Iterator[list[bytes]]:
    """Group whole lines to pieces of at most `limit` bytes; a longer line is one of its own."""
    piece: list[bytes] = []
    size = 0
    for line in lines:
        if piece and size + len(line) > limit:
            yield piece
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    if piece:
        yield piece
