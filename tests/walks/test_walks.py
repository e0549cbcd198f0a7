"""Five people's walks pass on a fresh clone and from a wheel, and use documented commands."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.once import made_once
from tests.ports import lasting_port
from tests.rounds import SOAK, rounds

from .installations import ROOT, fresh_clone, installed_wheel

HERE: Final = Path(__file__).parent
WALKS: Final = sorted(path.stem for path in HERE.glob("*.sh") if path.stem != "steps")
# How each is made, and where its programs are.
INSTALLATIONS: Final[dict[str, tuple[Callable[[Path], Path], str]]] = {
    "clone": (fresh_clone, ".venv/bin"),
    "wheel": (installed_wheel, "venv/bin"),
}
# Each walk in both of them in a soak, and otherwise in one of the two.
CASES: Final = {
    installation: rounds(WALKS[index :: len(INSTALLATIONS)], WALKS)
    for index, installation in enumerate(INSTALLATIONS)
}


@pytest.mark.slow
@pytest.mark.timeout(900)  # some ten seconds, but they start two dozen programs each
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("installation", INSTALLATIONS)
def test_all_walks(
    installation: str, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """Walk side by side, so that one process forks the commands of all."""
    make, programs = INSTALLATIONS[installation]
    folder = made_once(tmp_path_factory, installation, make)
    kept = {"HOME", "LANG", "LC_ALL", "TMPDIR"}
    environ = {name: value for name, value in os.environ.items() if name in kept}
    environ |= {
        "PATH": f"{folder / programs}:{os.environ['PATH']}",
        "STEPS": str(HERE / "steps.sh"),
        "DOCS": str(ROOT),
        "PYTHONSAFEPATH": "1",
    }
    walks = CASES[installation]
    with (
        forking(folder / programs / "python", environ) as descriptors,
        ThreadPoolExecutor(len(walks)) as threads,
    ):
        started = [threads.submit(walked, each, tmp_path, environ, descriptors) for each in walks]
        failed = [said for each in started if (said := each.result())]
    assert not failed, "\n".join(failed)


def walked(walk: str, folder: Path, environ: dict[str, str], descriptors: list[int]) -> str:
    """Return what a walk said if it failed, and else nothing."""
    (folder / walk).mkdir()
    ports = {name: str(lasting_port()) for name in ("PORT", "PORT2", "PORT3")}
    done = subprocess.run(  # noqa: S603
        ["bash", str(HERE / f"{walk}.sh")],  # noqa: S607
        cwd=folder / walk, env=environ | ports, capture_output=True, text=True, check=False,
        pass_fds=descriptors,
    )  # fmt: skip
    if done.returncode == 0:
        return ""
    return f"{walk} ended with {done.returncode}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}"


@contextmanager
def forking(python: Path, environ: dict[str, str]) -> Iterator[list[int]]:
    """Have the commands of a walk with `environ` be forks, but in a soak; yield what it needs."""
    if SOAK:
        yield []
        return
    channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with channel:
        with theirs:
            process = subprocess.Popen(  # noqa: S603
                [str(python), str(HERE / "forks.py"), str(theirs.fileno())],
                env=environ, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()],
            )  # fmt: skip
        environ |= {"FORKS": str(channel.fileno()), "PYTHON": sys.executable}
        try:
            yield [channel.fileno()]
        finally:
            channel.close()
            if process.wait(30):
                raise ChildProcessError(f"forks.py ended with {process.returncode}")


def test_there_are_five_people() -> None:
    assert WALKS == ["developer", "finance", "oncall", "platform", "security"]


def test_they_use_documented_commands_only() -> None:
    """Each command and its options stand in README.md or docs/, and so do paths of the API."""
    files = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    documented = " ".join(" ".join(path.read_text() for path in files).split())
    used: set[str] = set()
    for walk in WALKS:
        text = re.sub(r"(?m)^(?:#|step ).*$", "", (HERE / f"{walk}.sh").read_text())
        used |= {match[0] for match in re.finditer(r"\bgateway [a-z-]+(?: (?!-)[a-z-]+\b)?", text)}
        for option in re.findall(r"\bgateway [a-z-]+[^|\n]*? (--[a-z-]+)", text):
            assert option in documented, f"{walk}: {option}"
        for path in re.findall(r"/(?:admin/api|health)/[a-z-]+", text):
            assert path in documented or path.removeprefix("/admin/api/") in documented, path
    single = {"check", "init", "reload", "serve", "erase", "export"}
    for command in used:
        _, first, *rest = command.split()
        wanted = f"gateway {first}" if first in single or not rest else command
        # `gateway tokens create`, `list` and `revoke`
        others = r"[a-z-]+`(?:,? (?:and )?`[a-z-]+`)*?,? (?:and )?"
        named = re.search(rf"gateway {first} {others}`{rest[0]}`", documented) if rest else None
        assert wanted in documented or named, command
    assert len(used) > 20
