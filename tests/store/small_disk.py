"""A file system that is soon full."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest


class SmallDisk:
    """A tmpfs of `size`; the test is skipped where nothing can be mounted."""

    def __init__(self, folder: Path, size: str) -> None:
        self.folder = folder
        folder.mkdir()
        if os.geteuid() != 0 or not self._mount(f"size={size}"):
            pytest.skip("needs the right to mount a tmpfs")

    def __enter__(self) -> SmallDisk:
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "--lazy", self.folder], check=True)  # noqa: S603, S607  # ours

    def grow(self, size: str) -> None:
        assert self._mount(f"remount,size={size}")

    def _mount(self, options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)]
        return not subprocess.run(command, capture_output=True, check=False).returncode  # noqa: S603
