"""The wheel: everything is in it that an empty folder does not have."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

from gateway.config.sources.shipped import SHIPPED
from gateway.installation import DISTRIBUTION

ROOT: Final = Path(__file__).parents[2]


@pytest.mark.slow
def test_it_works_from_an_empty_folder(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)  # noqa: S603
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.startswith(f"{DISTRIBUTION.replace('-', '_')}-")
    unpacked, folder = tmp_path / "site", tmp_path / "empty"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(unpacked)
    assert not [name for name in names if name.startswith(("tests/", "bench/", "docs/"))]
    folder.mkdir()
    environ = {**os.environ, "PYTHONPATH": str(unpacked), "PYTHONSAFEPATH": "1"}
    environ.pop("GATEWAY_CONFIG", None)
    for arguments in (["init"], ["check"]):
        command = [sys.executable, "-m", "gateway", *arguments]
        subprocess.run(  # noqa: S603
            command, cwd=folder, env=environ, check=True, capture_output=True
        )
    assert (folder / "config.toml").read_text() == SHIPPED.read_text()
