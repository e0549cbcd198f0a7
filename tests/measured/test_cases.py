"""Cases of one plain function are one test, none of which is lost (`cases`, `workers`)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..rounds import rounds

TESTS = Path(__file__).parents[1]

# What takes a second to load and is not used here.
WITHOUT = [f"-pno:{each}" for each in ("cacheprovider", "hypothesispytest", "trio")]

CONFTEST = """
import sys
sys.path.insert(0, {root!r})
from tests.cases import joined
from tests.workers import Cases, tell_results_only
def pytest_configure(config):
    config.pluginmanager.register(Cases())
def pytest_sessionstart(session):
    tell_results_only(session.config)
import pytest
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    items[:] = joined(items)
@pytest.fixture
def doubled(request):
    return request.param * 2
"""

MODULE = """
import pathlib, pytest
HERE = pathlib.Path(__file__).parent
def seen(name):
    with (HERE / "seen").open("a") as file:
        file.write(name + "\\n")

@pytest.mark.parametrize("a", [1, 2, 3])
@pytest.mark.parametrize(("b", "c"), [(4, 5), (6, 7)])
def test_plain(a, b, c):
    seen(f"plain-{a}-{b}-{c}")
    assert a < 3 or b < 6, "three and six"

@pytest.mark.parametrize("a", [1, 2, 3, 4])
def test_several(a):
    seen(f"several-{a}")
    assert a % 2, f"{a} is even"

class TestMethods:
    @pytest.mark.parametrize("a", "xyz")
    def test_method(self, a):
        self.only = getattr(self, "only", "") + a
        seen(f"method-{self.only}")

@pytest.mark.parametrize("a", [1, 2])
def test_left_out(a):
    seen(f"left-{a}")
    if a == 2:
        pytest.skip("no two here")

@pytest.mark.parametrize("a", [1, 2])
def test_failed_by_itself(a):
    if a == 2:
        pytest.fail("two is wrong")

# None of these is joined: each needs something of its own.
@pytest.mark.parametrize("a", [1, 2])
def test_fixture(a, tmp_path):
    seen(f"fixture-{a}")
@pytest.mark.parametrize("doubled", [1, 2], indirect=True)
def test_indirect(doubled):
    seen(f"indirect-{doubled}")
@pytest.mark.parametrize("a", [1, pytest.param(2, marks=pytest.mark.xfail(strict=True))])
def test_marked(a):
    assert a == 1
"""


def run(folder: Path, *arguments: str) -> tuple[str, list[str]]:
    (folder / "conftest.py").write_text(CONFTEST.format(root=str(TESTS.parent)))
    (folder / "test_it.py").write_text(MODULE)
    (folder / "seen").unlink(missing_ok=True)
    done = subprocess.run(  # noqa: S603 - Python itself
        [sys.executable, "-m", "pytest", "-q", "-rs", *WITHOUT, "--rootdir", folder, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTEST_ADDOPTS": ""},
        timeout=100,
        check=False,
    )
    seen = folder / "seen"
    return done.stdout, sorted(seen.read_text().split() if seen.exists() else [])


@pytest.mark.slow
@pytest.mark.parametrize("workers", rounds(["2"], ["0", "2"]))
def test_each_case_is_run_and_each_that_fails_is_named(tmp_path: Path, workers: str) -> None:
    shown, seen = run(tmp_path, "-n", workers, ".")
    assert seen == sorted(
        [f"plain-{a}-{b}-{c}" for a in (1, 2, 3) for b, c in ((4, 5), (6, 7))]
        + [f"several-{a}" for a in (1, 2, 3, 4)]
        # Each has an instance of its own, as ever.
        + [f"method-{a}" for a in "xyz"]
        + ["left-1", "left-2", "fixture-1", "fixture-2", "indirect-2", "indirect-4"]
    )
    assert "the case [6-7-3]" in shown
    assert "three and six" in shown
    assert "2 cases" in shown
    assert "2 is even" in shown
    assert "4 is even" in shown
    assert "[2] no two here" in shown
    assert "two is wrong" in shown
    assert "3 failed, 6 passed, 1 skipped, 1 xfailed" in shown
    assert "of some of these tests, 12 more cases" in shown


@pytest.mark.slow
def test_a_case_is_chosen_by_its_name(tmp_path: Path) -> None:
    shown, seen = run(tmp_path, "-k", "test_several and 2 or test_plain[4-5-1]")
    assert seen == ["plain-1-4-5", "several-2"]
    assert "1 failed, 1 passed" in shown
