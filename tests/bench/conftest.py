"""What is measured in tests is started as in other tests."""

from __future__ import annotations

import subprocess

import pytest

from ..fork_server.popen import Popen


@pytest.fixture(autouse=True)
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a gateway that is measured be a fork: of its figures these tests expect none."""
    monkeypatch.setattr(subprocess, "Popen", Popen)
