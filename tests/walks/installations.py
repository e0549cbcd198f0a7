"""A fresh clone and a wheel, each with an environment of its own: what a new user has.

Nothing is fetched: what the gateway depends on is taken from the environment that runs the tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Final

from ..compiled import take_compiled

ROOT: Final = Path(__file__).parents[2]


def fresh_clone(folder: Path) -> Path:
    """Lay the files of the repository out in `folder`, as after `make run`; return its programs."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    for name in listed.stdout.decode().split("\0"):
        # What is deleted but not committed yet is still listed.
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    assert not take_compiled(folder / "gateway")
    programs = _environment(folder / ".venv")
    _pip(programs, "--no-deps", "--no-build-isolation", "--no-index", "--editable", str(folder))
    # As scripts/venv leaves it: what is to be fetched is there.
    (folder / ".venv" / ".installed-run").touch()
    return programs


def installed_wheel(folder: Path) -> Path:
    """Build the wheel and install it, with nothing of the repository; return its programs."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)  # noqa: S603
    (wheel,) = (folder / "dist").glob("*.whl")
    programs = _environment(folder / "venv")
    _pip(programs, "--no-deps", "--no-index", "--no-compile", str(wheel))
    (installed,) = (folder / "venv").glob("lib/python3*/site-packages/gateway")
    assert not take_compiled(installed)
    return programs


def _environment(folder: Path) -> Path:
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python3*/site-packages")
    # Only a path: the .pth files of that folder, such as that of this repository, do not count.
    (site / "installed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def _pip(programs: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--python", str(programs / "python")]
    subprocess.run(  # noqa: S603
        [*command, "install", "--no-warn-script-location", "--ignore-installed", *arguments],
        check=True, capture_output=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )  # fmt: skip
