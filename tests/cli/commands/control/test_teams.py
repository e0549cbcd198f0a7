"""`gateway teams` and what it prints, in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli.commands.control import teams

from .test_keys import Captured, file, run

__all__ = ["file"]
pytestmark = pytest.mark.slow


def test_the_life_of_a_team(file: Path, capsys: Captured) -> None:
    def do(*arguments: str) -> tuple[int, str, str]:
        return run(teams.app, capsys, *arguments, "--config", str(file))

    assert do("list") == (0, "", "there are no such teams\n")
    assert do("create", "search", "--rpm", "5", "--budget-usd", "1.5")[2] == "'search' is made\n"
    assert do("create", "search")[0] == 1
    assert do("edit", "search", "--tpm", "9", "--clear", "rpm")[2] == "'search' is changed\n"
    assert do("edit", "search", "--tpm", "9")[2] == "'search' is so already\n"
    assert do("edit", "search")[0] == 2
    assert do("edit", "search", "--rpm", "9", "--clear", "rpm")[0] == 2
    assert do("create", "x", "--budget-window", "day")[0] == 2
    (team,) = json.loads(do("list", "--json")[1])
    assert (team["rpm"], team["tpm"], team["budget"]["usd"]) == (None, 9, 1.5)
    assert team["spending"]["left_nano_usd"] == 1_500_000_000
    assert "0 of 1.5 USD, month" in do("list")[1]
    assert do("delete", "search")[2] == "'search' is deleted\n"
    assert do("delete", "search")[0] == 1
