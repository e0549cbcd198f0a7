from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import load
from gateway.config.paths import tokens_path
from gateway.config.pid_path import read_pid_path
from gateway.config.sources.state import VARIABLE, find_state, make_folder, state_folder
from gateway.errors import ConfigError

CONFIG = Path("/etc/gw/config.toml")
ENOUGH = '[providers.d]\nkind = "demo"\n[[models]]\nname = "m"\n' + (
    'routes = [{ provider = "d", model = "d" }]\n'
)
TOKEN = '[[tokens]]\nname = "t"\nkey = "12345678"\n'


@pytest.mark.parametrize(
    ("name", "environ", "expected"),
    [
        ("", {}, "/etc/gw"),
        ("state", {}, "/etc/gw/state"),
        ("/var/lib/gw", {}, "/var/lib/gw"),
        ("state", {VARIABLE: "/srv/gw"}, "/srv/gw"),
        ("state", {VARIABLE: ""}, "/etc/gw/state"),
    ],
)
def test_it_is_beside_the_file_unless_it_says_otherwise(
    name: str, environ: dict[str, str], expected: str
) -> None:
    assert state_folder(CONFIG, name, environ) == Path(expected)


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        ("", {}, None),
        ("[server]\n", {}, None),
        ('# state_dir = "x"\n[server]\n', {}, None),
        ('[server]\nstate_dir = ""\n', {}, None),
        ("[server]\nstate_dir = 7\n", {}, None),
        ("server = 'state_dir'\n", {}, None),
        ("[server\nstate_dir = 'x'\n", {}, None),
        ("\xff state_dir", {}, None),
        ('[server]\nstate_dir = "s"\n[providers.p]\nkind = 7\n', {}, "/etc/gw/s"),
        ('[server]\nstate_dir = "${S}"\n', {"S": "/srv"}, "/srv"),
        ('[server]\nstate_dir = "s"\n', {VARIABLE: "/srv"}, "/srv"),
        ("[server\n", {VARIABLE: "/srv"}, "/srv"),
    ],
)
def test_a_file_with_faults_still_tells(
    text: str, environ: dict[str, str], expected: str | None, tmp_path: Path
) -> None:
    found = find_state(CONFIG, text, environ)
    assert found == (Path(expected) if expected else None)
    # From the disk it is the same.
    file = tmp_path / "config.toml"
    file.write_text(text, encoding="latin-1")
    here = expected.replace("/etc/gw", str(tmp_path)) if expected else None
    assert find_state(file, None, environ) == (Path(here) if here else None)


def test_an_unset_variable_is_said() -> None:
    with pytest.raises(ConfigError, match=r"state_dir: the environment variable S is not set"):
        find_state(CONFIG, '[server]\nstate_dir = "${S}"\n', {})


def test_tokens_and_pid_file_are_in_it(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[server]\nstate_dir = "state"\n{ENOUGH}')
    state = tmp_path / "state"
    state.mkdir()
    (state / "tokens.toml").write_text(TOKEN)
    assert tokens_path(file) == state / "tokens.toml"
    assert read_pid_path(file, {}) == state / "gateway.pid"
    assert [each.name for each in load.load(file, {}).tokens] == ["t"]
    assert [each.name for each in load.outline(file, {}).tokens] == ["t"]
    assert [each.name for each in load.tokens(file, {})] == ["t"]


def test_a_file_of_tokens_that_is_read_no_more_is_a_fault(tmp_path: Path) -> None:
    """It would open the gateway to everyone."""
    file = tmp_path / "config.toml"
    file.write_text(f'[server]\nstate_dir = "state"\n{ENOUGH}')
    (tmp_path / "tokens.toml").write_text(TOKEN)
    with pytest.raises(ConfigError) as caught:
        load.load(file, {})
    moved = tmp_path / "state" / "tokens.toml"
    assert caught.value.problems == (
        f"{tmp_path / 'tokens.toml'}: is read no more: move it to {moved}",
    )


@pytest.mark.parametrize("name", [".", "", "./", "../here", "{folder}", "{folder}/"])
def test_the_folder_of_the_file_itself(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    file = folder / "config.toml"
    file.write_text(f'[server]\nstate_dir = "{name.format(folder=folder)}"\n{ENOUGH}')
    (folder / "tokens.toml").write_text(TOKEN)
    monkeypatch.chdir(folder)
    for path in (file, Path("config.toml"), Path("../here/config.toml")):
        assert [each.name for each in load.load(path, {}).tokens] == ["t"]


def test_without_a_folder_of_its_own_it_is_that_of_the_file_however_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text(ENOUGH)
    (tmp_path / "tokens.toml").write_text(TOKEN)
    monkeypatch.chdir(tmp_path)
    for path in ("config.toml", "./config.toml", f"../{tmp_path.name}/config.toml"):
        assert [each.name for each in load.load(Path(path), {}).tokens] == ["t"]


def test_a_new_folder_is_private_and_ignored_by_git(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    make_folder(folder, tmp_path / "config.toml")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"
    (folder / ".gitignore").unlink()
    (folder / "gateway.db").touch()
    make_folder(folder, tmp_path / "config.toml")
    assert [each.name for each in folder.iterdir()] == ["gateway.db"]


def test_the_folder_of_the_configuration_is_left_alone(tmp_path: Path) -> None:
    make_folder(tmp_path, tmp_path / "config.toml")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"state_dir: .*/file/s: cannot be used: Not a directory"):
        make_folder(tmp_path / "file" / "s", tmp_path / "config.toml")
