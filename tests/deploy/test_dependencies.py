"""What the package needs to run is what it imports, and nothing that only tests need."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())
# Not imported: it comes with hypercorn, and older ones have a hole.
ONLY_BOUNDED: Final = {"h2"}


def named(requirements: list[str]) -> set[str]:
    found = (re.match(r"[A-Za-z0-9._-]+", each) for each in requirements)
    return {_plain(each[0]) for each in found if each}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield all statements within: imports are nowhere else, and most is expressions."""
    for child in ast.iter_child_nodes(tree):
        if not isinstance(child, ast.expr):
            yield child
            yield from statements(child)


# Each import begins a line, and so may other words: what begins none is no import.
MAYBE: Final = re.compile(r"(?m)^\s*(?:import|from)\s+(\w+(?:[ \t]*,[ \t]*\w+)*)")
OURS: Final = {*sys.stdlib_module_names, "gateway"}


def imported(folder: str) -> set[str]:
    """Return the distributions of all that the modules of a folder import."""
    of = packages_distributions()
    tops: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        text = path.read_text()
        maybe = {name.strip() for names in MAYBE.findall(text) for name in names.split(",")}
        # To read a thousand modules as a whole takes seconds.
        if maybe <= tops | OURS:
            continue
        for node in statements(ast.parse(text)):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            tops |= {name.split(".")[0] for name in names} - OURS
    return {_plain(each) for top in tops for each in of.get(top, [top])}


@pytest.mark.slow
def test_what_runs_is_what_is_imported() -> None:
    needed = named(PROJECT["project"]["dependencies"])
    extras = {
        name
        for each in PROJECT["project"]["optional-dependencies"].values()
        for name in named(each)
    }
    used = imported("gateway")
    # Of a namespace package all that are installed look like its owner.
    used = {each for each in used if not each.startswith(("opentelemetry", "psycopg-"))}
    assert used - extras <= needed
    assert needed - used == ONLY_BOUNDED


def test_what_tests_need_alone_is_none_of_it() -> None:
    needed = named(PROJECT["project"]["dependencies"])
    groups = PROJECT["dependency-groups"]
    for group in ("test", "check", "bench", "build"):
        assert not named(groups[group]) & needed, group
    locked = set(re.findall(r"(?m)^([a-z0-9._-]+)==", (ROOT / "requirements/run.txt").read_text()))
    alone = named(groups["test"]) | named(groups["check"]) | named(groups["bench"])
    assert not alone & {_plain(each) for each in locked}
