from __future__ import annotations

import pytest

from gateway.cli.output.columns import print_columns


def test_columns_are_as_wide_as_their_longest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    print_columns([("name", "role"), ("ann", "admin"), ("somebody", "")])
    assert capsys.readouterr().out == "name      role\nann       admin\nsomebody\n"
