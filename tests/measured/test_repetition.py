"""What is measured is repeated when it fails, and nothing else is (`conftest`)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from ..conftest import REPEATED, repeats

TESTS = Path(__file__).parents[1]


def test_measurements_are_repeated_and_nothing_else(request: pytest.FixtureRequest) -> None:
    if not repeats(request.config):
        pytest.skip("pytest-rerunfailures is not installed: `make setup`")
    assert request.config.getoption("reruns") is None
    for item in request.session.items:
        repeated = item.get_closest_marker("flaky")
        assert (repeated is not None) == (item.get_closest_marker("measured") is not None), item
        assert repeated is None or repeated.kwargs == {"reruns": REPEATED}


def test_no_test_asks_to_be_repeated_itself() -> None:
    """Not by what pytest-rerunfailures offers, past the marker that says why."""
    for path in TESTS.rglob("*.py"):
        # Parsing takes a hundred times as long as looking whether it stands there at all.
        if path.name != "conftest.py" and b"flaky" in (source := path.read_bytes()):
            tree = ast.parse(source)
            names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            assert "flaky" not in names, path
