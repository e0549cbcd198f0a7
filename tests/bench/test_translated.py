"""All pairs, each measured a moment on a running gateway."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from bench.translated import APIS, measure, show

pytestmark = pytest.mark.slow


def test_each_pair_is_measured_and_its_streams_are_whole(tmp_path: Path) -> None:
    said: list[str] = []
    found = measure(tmp_path, rounds=1, requests=2, core=None, say=said.append, warm_up=0)
    assert found.keys() == {f"{caller} on {model}" for caller in APIS for model in APIS}
    assert said == ["round 1 of 1"]
    shown = Console(file=io.StringIO(), width=200)
    # A figure of two requests may be nothing at all by the kernel's clock.
    show({name: value or 1.0 for name, value in found.items()}, shown)
    assert isinstance(shown.file, io.StringIO)
    assert all(api in shown.file.getvalue() for api in APIS)
