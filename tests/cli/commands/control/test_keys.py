"""`gateway keys` and what it prints, in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.commands.control import deployments, keys

from ....store.migrated import migrated_database

pytestmark = pytest.mark.slow

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(
        '[providers.p]\nkind = "openai"\nbase_url = "${NOT_SET_HERE}"\n'
        '[[models]]\nname = "m"\nroutes = [{ provider = "p", model = "x" }]\n'
        '[[tokens]]\nname = "f"\nkey = "${NOT_SET_EITHER}"\n'
    )
    database = migrated_database(tmp_path)
    database.close()
    return path


def run(app: Any, captured: Captured, *arguments: str) -> tuple[int, str, str]:
    status = app(arguments, result_action="return_value")
    found = captured.readouterr()
    return status, found.out, found.err


def test_the_life_of_a_key(file: Path, capsys: Captured) -> None:
    def do(*arguments: str) -> tuple[int, str, str]:
        return run(keys.app, capsys, *arguments, "--config", str(file))

    status, secret, said = do(
        *("create", "k", "--rpm", "5", "--budget-usd", "1.5", "--team", "search"),
        *("--label", "app=chat", "--models", "m", "--expires", "90d"),
    )
    assert (status, secret.startswith("sk-gw-")) == (0, True)
    assert "shown this once" in said
    assert do("edit", "k", "--rpm", "9", "--clear", "team")[0] == 0
    status, out, _ = do("show", "k", "--json")
    (key,) = json.loads(out)
    assert (key["rpm"], key["team"], key["labels"], key["version"]) == (9, None, {"app": "chat"}, 2)
    assert key["spending"]["left_nano_usd"] == 1_500_000_000
    assert secret.strip() not in out
    status, out, _ = do("rotate", "k", "--overlap", "0")
    assert out.startswith("sk-gw-")
    assert out != secret
    assert do("disable", "k")[2] == "'k' is disabled\n"
    assert do("disable", "k")[2] == "'k' is so already\n"
    assert do("revoke", "k")[0] == 0
    status, out, _ = do("list")
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        ["f", "active"],
        ["k", "revoked"],
    ]


def test_what_it_may_ask_past_its_models(file: Path, capsys: Captured) -> None:
    def do(*arguments: str) -> tuple[int, str, str]:
        return run(keys.app, capsys, *arguments, "--config", str(file))

    def permitted() -> tuple[list[str], list[str], dict[str, str]]:
        (key,) = json.loads(do("show", "k", "--json")[1])
        return key["passthrough"], key["overrides"], key["labels"]

    made = do("create", "k", "--passthrough", "p", "--override", "provider", "--label", "a=b")
    assert made[0] == 0
    assert permitted() == (["p"], ["provider"], {"a": "b"})
    assert do("edit", "k", "--passthrough", "*", "--passthrough", "p")[0] == 0
    assert permitted() == (["*", "p"], ["provider"], {"a": "b"})
    assert do("edit", "k", "--rpm", "3")[0] == 0
    assert permitted()[0] == ["*", "p"]
    cleared = ("--clear", "passthrough", "--clear", "overrides", "--clear", "labels")
    assert do("edit", "k", *cleared)[0] == 0
    assert permitted() == ([], [], {})
    assert do("edit", "k", "--clear", "passthrough", "--passthrough", "p")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("create", "f"), 1, "There is a token 'f'"),
        (("revoke", "f"), 1, "is changed there"),
        (("revoke", "nobody"), 1, "there is no key 'nobody'"),
        (("create", "k", "--models", "gone"), 1, "There is no model 'gone'"),
        (("create", "k", "--passthrough", "gone"), 1, "There is no provider 'gone'"),
        (("create", "k", "--rpm", "0"), 1, "rpm"),
        (("create", "k", "--expires", "yesterday"), 2, "--expires"),
        (("create", "k", "--label", "nothing"), 2, "NAME=VALUE"),
        (("create", "k", "--budget-window", "day"), 2, "--budget-usd"),
        (("edit", "k"), 2, "nothing to change"),
        (("edit", "k", "--rpm", "1", "--clear", "rpm"), 2, "contradicts"),
        (("rotate", "k", "--overlap", "-1"), 2, "--overlap"),
    ],
)
def test_what_is_refused(
    file: Path, capsys: Captured, arguments: tuple[str, ...], status: int, words: str
) -> None:
    found, out, said = run(keys.app, capsys, *arguments, "--config", str(file))
    assert (found, out) == (status, "")
    assert words in said


def test_deployments(file: Path, capsys: Captured) -> None:
    def do(*arguments: str) -> tuple[int, str, str]:
        return run(deployments.app, capsys, *arguments, "--config", str(file))

    assert do("list") == (0, "p/x\n", "")
    assert do("drain", "p/x", "--for", "60", "--reason", "why")[0] == 0
    assert do("list")[1].startswith("p/x  drained until 2")
    assert do("list")[1].endswith(": why\n")
    assert do("enable", "p/x")[2] == "'p/x' is in use again\n"
    assert do("reset", "p/x")[0] == 0
    assert do("reset", "p/y") == (1, "", "error: there is no deployment 'p/y'\n")
    assert do("drain", "p/x", "--for", "0")[0] == 2
