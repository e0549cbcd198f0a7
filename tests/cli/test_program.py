from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gateway.cli.program import program


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / ".venv" / "bin" / "gateway"
    found.parent.mkdir(parents=True)
    found.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    return found


def test_one_that_is_found_by_its_name(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(installed.parent))
    assert program([str(installed)]) == "gateway"


def test_one_below_the_folder_one_is_in(installed: Path) -> None:
    assert program([str(installed)]) == ".venv/bin/gateway"


def test_one_beside(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(installed.parent)
    assert program([str(installed)]) == "./gateway"


def test_one_elsewhere(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other place"
    other.mkdir()
    monkeypatch.chdir(other)
    assert program([str(installed)]) == str(installed)


def test_a_module(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(installed.with_name("python3")))
    assert program(["/x/gateway/__main__.py"]) == ".venv/bin/python3 -m gateway"


def test_a_program_of_another_name_stands_for_ours(installed: Path) -> None:
    assert program(["/usr/bin/pytest"]) == "gateway"
