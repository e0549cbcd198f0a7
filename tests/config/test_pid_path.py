from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.pid_path import pid_path, read_pid_path
from gateway.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gateway.pid", "/etc/gw/gateway.pid"),
        ("run/a.pid", "/etc/gw/run/a.pid"),
        ("/run/a.pid", "/run/a.pid"),
        ("", None),
    ],
)
def test_it_is_relative_to_the_folder_of_the_configuration(name: str, expected: str | None) -> None:
    assert pid_path(Path("/etc/gw/config.toml"), name) == (Path(expected) if expected else None)


def test_a_relative_configuration_is_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert pid_path(Path("config.toml"), "gateway.pid") == tmp_path / "gateway.pid"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "gateway.pid"),
        ("[server]\nbnd = 1\n[providers.p]\nkind = 7\n", "gateway.pid"),
        ('[server]\npid_file = "a.pid"\n', "a.pid"),
        ('[server]\npid_file = "${NAME}.pid"\n', "b.pid"),
        ('[server]\npid_file = ""\n', None),
        ("server = 1\n", "gateway.pid"),
    ],
)
def test_a_configuration_that_is_not_valid_still_tells(
    tmp_path: Path, text: str, expected: str | None
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(text)
    found = read_pid_path(config, {"NAME": "b"})
    assert found == (tmp_path / expected if expected else None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot be read: No such file"),
        ("[server\n", "not valid TOML"),
        ("\xff", "not valid TOML"),
        ('[server]\npid_file = "${NAME}"\n', "[server] pid_file: the environment variable NAME"),
        ("[server]\npid_file = 1\n", "[server] pid_file: expected a string"),
    ],
)
def test_what_can_not_be_told_is_said(tmp_path: Path, text: str | None, says: str) -> None:
    config = tmp_path / "config.toml"
    if text is not None:
        config.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError) as caught:
        read_pid_path(config, {})
    assert [says in problem for problem in caught.value.problems] == [True]
