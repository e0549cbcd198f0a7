"""How much memory a process takes itself to have."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.process import memory
from gateway.process.memory import WORKERS, bytes_for_bodies

GIB = 1 << 30


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("own", "files", "least"),
    [
        pytest.param("0::/\n", {"memory.max": "1024\n"}, 1024, id="a container"),
        pytest.param("0::/\n", {"memory.max": "max\n"}, math.inf, id="no limit"),
        pytest.param("0::/\n", {}, math.inf, id="the root of the machine"),
        pytest.param(
            "0::/system.slice/gateway.service\n",
            {"system.slice/memory.max": "2048\n", "system.slice/gateway.service/memory.max": "max"},
            2048,
            id="a service in a slice",
        ),
        pytest.param(
            "12:cpu:/a\n7:memory:/a\n",
            {"memory/a/memory.limit_in_bytes": "512\n", "memory.max": "1"},
            512,
            id="version 1",
        ),
        pytest.param("", {}, math.inf, id="no groups"),
        pytest.param("nonsense\n", {"memory.max": "nonsense"}, math.inf, id="nonsense"),
    ],
)
def test_control_groups(tmp_path: Path, own: str, files: dict[str, str], least: float) -> None:
    groups = written(tmp_path / "groups", files)
    (tmp_path / "own").write_text(own)
    assert memory._of_cgroup(groups, tmp_path / "own") == least


def test_a_quarter_is_shared_by_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_of_machine", lambda: 8.0 * GIB)
    monkeypatch.setattr(memory, "_of_cgroup", lambda: math.inf)
    monkeypatch.delenv(WORKERS, raising=False)
    assert bytes_for_bodies() == 2 * GIB
    monkeypatch.setenv(WORKERS, "4")
    assert bytes_for_bodies() == GIB / 2


def test_a_limit_of_the_address_space_counts_without_what_is_taken() -> None:
    script = "from gateway.process.memory import bytes_for_bodies; print(bytes_for_bodies())"
    run = subprocess.run(  # noqa: S603  # our own command
        ["/bin/sh", "-c", 'ulimit -v 1048576; exec "$0" -c "$1"', sys.executable, script],
        capture_output=True,
        check=True,
        env={**os.environ, WORKERS: "1"},
        timeout=60,
    )
    assert 0 < float(run.stdout) < GIB / 4
