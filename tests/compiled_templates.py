"""Templates of pages, compiled once: that is most of what the first look at a page takes.

Each dashboard of a test, and each process of a gateway under test, would do it anew.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemBytecodeCache
from jinja2.bccache import Bucket

from gateway.dashboard import rendering
from gateway.dashboard.assets import read_assets

_FOLDER: Final = Path(__file__).parents[1] / "build" / "templates"


class CompiledTemplates(FileSystemBytecodeCache):
    """Code by what it was compiled from: in memory, and in files for other processes of tests."""

    def __init__(self) -> None:
        _FOLDER.mkdir(parents=True, exist_ok=True)
        super().__init__(str(_FOLDER))
        self._code: dict[tuple[str, str], Any] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        name = bucket.key, bucket.checksum
        if name in self._code:
            bucket.code = self._code[name]
        else:
            super().load_bytecode(bucket)
            self._remember(bucket)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._remember(bucket)
        super().dump_bytecode(bucket)

    def _remember(self, bucket: Bucket) -> None:
        if bucket.code is not None:
            self._code[bucket.key, bucket.checksum] = bucket.code


def keep_compiled() -> None:
    """Have all templates of this process, and of its forks, compiled no more than once."""
    kept = partial(Environment, bytecode_cache=CompiledTemplates())
    vars(rendering)["Environment"] = kept
    # Nothing is left for a fork to compile, and so it writes no file.
    rendering.Templates(read_assets()).prepare()
