"""A file that appears under its name only when it is whole."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import BinaryIO


class OutputFile:
    """Writes to a name beside `path`, which takes its place once the block has ended well.

    Only its owner may read it: other users of the machine must not see records. Raises OSError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        self._file: BinaryIO | None = None

    def __enter__(self) -> BinaryIO:
        if self._path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a directory", str(self._path))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.fdopen(os.open(self._beside, flags, 0o600), "wb")
        return self._file

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._file is not None
        try:
            if kind is None:
                self._file.flush()
                # The name must not survive a power cut that the content did not.
                os.fsync(self._file.fileno())
                self._file.close()
                self._beside.replace(self._path)
        finally:
            # Errors change nothing here: closing writes what was buffered, perhaps to a full disk.
            with contextlib.suppress(OSError):
                self._file.close()
            self._beside.unlink(missing_ok=True)
