"""stderr, written by a thread of its own.

A write to a pipe that is not read blocks, and so does one to a terminal that is stopped: what the
event loop logs would stop every request, and SIGTERM as well. All that goes to `sys.stderr` takes
this way: logging, warnings, and the tracebacks that Python prints by itself.
"""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Final, TextIO

import structlog

from .line_file import LineFile

# Some thousand lines, or a hundred tracebacks. Older lines are worth less than the newest.
LIMIT_BYTES: Final = 1 << 20
# How long the exit waits for lines that are still to be written.
FLUSH_SECONDS: Final = 1.0
# How often it is said that lines are dropped, while some are.
REPORT_SECONDS: Final = 10.0

_log = structlog.get_logger(__name__)


class BackgroundStream(io.TextIOBase):
    """A text stream over the descriptor of `target` that never blocks.

    What waits is at most `limit` bytes; beyond that the oldest line is dropped, counted in
    `dropped`, and the log says so once something can be written again.
    """

    def __init__(self, target: TextIO, limit: int = LIMIT_BYTES) -> None:
        self.dropped = 0
        self._target = target
        self._file = LineFile(target.fileno())
        self._limit = limit
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._begun = ""
        self._reported = 0
        self._report_at = 0.0
        # Reentrant: a signal's handler may log in the middle of a line.
        self._changed = threading.Condition(threading.RLock())
        self._writing = False
        self._ended = False
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<BackgroundStream {len(self._lines)} waiting, {self.dropped} dropped>"

    # What a text stream has...

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def fileno(self) -> int:
        return self._target.fileno()

    def isatty(self) -> bool:
        return self._target.isatty()

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        """Queue what of `text` are whole lines; the rest waits for its end, or for `flush`."""
        with self._changed:
            if self._ended:
                return self._target.write(text)
            lines, end, rest = (self._begun + text).rpartition("\n")
            self._begun = rest
            if end:
                self._put(lines + end)
        return len(text)

    def flush(self) -> None:
        """Queue what there is; does not wait until it is written."""
        with self._changed:
            if self._ended:
                self._target.flush()
            elif self._begun:
                begun, self._begun = self._begun, ""
                self._put(begun)

    def end(self, seconds: float) -> bool:
        """Write what waits, for at most `seconds`; then the target is written directly.

        False says that it still takes nothing, so that a direct write would wait: the stream
        stays as it is.
        """
        self.flush()
        deadline = time.monotonic() + seconds
        with self._changed:
            while self._thread is not None and (self._lines or self._writing):
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return False
            self._ended = True
            self._changed.notify_all()
        return True

    def _put(self, text: str) -> None:
        line = text.encode("utf-8", "backslashreplace")
        self._lines.append(line)
        self._size += len(line)
        while self._size > self._limit and len(self._lines) > 1:
            self._size -= len(self._lines.popleft())
            self.dropped += 1
        if self._thread is None:
            # A daemon: one that hangs in a write must not keep the process from its exit.
            self._thread = threading.Thread(target=self._run, name="stderr", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    # The thread...

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._lines and not self._ended:
                    self._changed.wait()
                if not self._lines:
                    return
                batch = [*self._lines]
                self._lines.clear()
                self._size = 0
                self._writing = True
            written = self._file.write(batch)
            with self._changed:
                self._writing = False
                self.dropped += len(batch) - written.lines
                self._changed.notify_all()
            if written.error is None:
                self._report()

    def _report(self) -> None:
        now = time.monotonic()
        if self.dropped > self._reported and now >= self._report_at:
            self._reported, self._report_at = self.dropped, now + REPORT_SECONDS
            _log.warning("log lines dropped: stderr took nothing", total=self._reported)


@contextlib.contextmanager
def in_background() -> Iterator[None]:
    """Write `sys.stderr` in a thread, from now until the end of the block."""
    original = sys.stderr
    try:
        stream = BackgroundStream(original)
    except (AttributeError, OSError, ValueError):
        # There is none (pythonw, a closed descriptor), or it is a test's that has no descriptor.
        yield
        return
    sys.stderr = stream
    try:
        yield
    finally:
        if stream.end(FLUSH_SECONDS):
            sys.stderr = original
