from __future__ import annotations

import json

import pytest

from gateway.cli.output.columns import print_columns, print_json


def test_columns_are_as_wide_as_their_longest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    print_columns([("name", "role"), ("ann", "admin"), ("somebody", "")])
    assert capsys.readouterr().out == "name      role\nann       admin\nsomebody\n"


def test_nothing_in_them_is_a_command_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    name = "a\x1b]0;x\x07\u202eb\nc\x9b2J"
    print_columns([("name",), (name,)])
    print_json([{"name": name}])
    shown = capsys.readouterr().out
    assert all(each.isprintable() or each == "\n" for each in shown)
    # One row each, whatever is in a name.
    assert shown.splitlines()[1] == "a\\x1b]0;x\\x07\\u202eb\\nc\\x9b2J"
    assert json.loads("".join(shown.splitlines(keepends=True)[2:])) == [{"name": name}]
