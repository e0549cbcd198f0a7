"""What is measured is repeated twice when it fails, all else once, in a soak never (`conftest`)."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import REPEATED
from ..rounds import SOAK
from ..workers import repeats

TESTS = Path(__file__).parents[1]


def test_how_often_a_test_is_repeated(request: pytest.FixtureRequest) -> None:
    if not repeats(request.config):
        pytest.skip("pytest-rerunfailures is not installed: `make setup`")
    assert request.config.getoption("reruns") is None
    otherwise = 0 if SOAK else 1
    for item in request.session.items:
        repeated = item.get_closest_marker("flaky")
        measured = item.get_closest_marker("measured")
        assert repeated is not None, item
        assert repeated.kwargs == {"reruns": REPEATED if measured else otherwise}, item


PYTESTER = """
import pathlib, sys
sys.path.insert(0, {root!r})
from tests.conftest import Marks, pytest_terminal_summary
def pytest_configure(config):
    config.pluginmanager.register(Marks())
"""

ONCE = """
import pathlib
def test_once():
    seen = pathlib.Path(__file__).with_name("seen")
    again = seen.exists()
    seen.write_text("")
    assert again, "the first time it is not there"
def test_always():
    assert False, "it never is"
"""


@pytest.mark.slow
def test_what_failed_once_is_shown_and_what_fails_twice_is_broken(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(PYTESTER.format(root=str(TESTS.parent)))
    (tmp_path / "test_it.py").write_text(ONCE)
    run = subprocess.run(  # noqa: S603 - Python itself
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            tmp_path,
            tmp_path,
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"SOAK": "", "PYTEST_ADDOPTS": ""},
        timeout=60,
        check=False,
    )
    assert run.returncode == 1, run.stdout
    assert "1 failed, 1 passed, 2 rerun" in run.stdout
    assert "repeated: test_it.py::test_once" in run.stdout
    assert "the first time it is not there" in run.stdout
    assert "FAILED" in run.stdout


def test_no_test_asks_to_be_repeated_itself() -> None:
    """Not by what pytest-rerunfailures offers, past the marker that says why."""
    for path in TESTS.rglob("*.py"):
        # Parsing takes a hundred times as long as looking whether it stands there at all.
        if path.name != "conftest.py" and b"flaky" in (source := path.read_bytes()):
            tree = ast.parse(source)
            names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            assert "flaky" not in names, path
