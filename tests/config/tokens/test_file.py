from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.config import load
from gateway.config.tokens import file as tokens_file
from gateway.config.tokens.file import add, names, remove
from gateway.errors import ConfigError

CONFIG: Final = """# mine
[providers.p]
kind = "demo"
[[models]]
name = "m"
routes = [{ provider = "p", model = "x" }]
"""
MAIN_TOKEN: Final = '[[tokens]]\nname = "main"\nkey = "a-key-of-its-own"\n'
MINE: Final = (
    '# of mine\n[[tokens]]  # first\nname = "mine"\nkey = "another-key-of-its-own"\n\n# end'
)


def entry(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "key": f"sha256:{name.encode().hex():0<64}", **more}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def beside(config: Path) -> Path:
    return config.with_name("tokens.toml")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def problems(found: pytest.ExceptionInfo[ConfigError]) -> str:
    return "\n".join(found.value.problems)


# Adding...


def test_an_entry_is_added_to_a_new_file_that_only_its_owner_reads(
    config: Path, beside: Path
) -> None:
    assert add(config, entry("a", rpm=3, models=["m"], tpm=None))
    assert mode(beside) == 0o600
    assert tomllib.loads(beside.read_text()) == {"tokens": [entry("a", rpm=3, models=["m"])]}
    (token,) = load.load(config).tokens
    assert (token.name, token.rpm, token.models) == ("a", 3, ("m",))
    assert config.read_text() == CONFIG
    assert sorted(os.listdir(config.parent)) == ["config.toml", "tokens.toml"]


def test_what_was_there_stays_to_the_byte(config: Path, beside: Path) -> None:
    beside.write_text(MINE)
    beside.chmod(0o640)
    with beside.open() as reader:
        assert not add(config, entry("a", budget={"usd": 1.5, "window": "day"}))
        assert reader.read() == MINE, "written in place, so that a reader may see half of it"
    assert not add(config, entry("b"))
    assert beside.read_text().startswith(f"{MINE}\n\n[[tokens]]\n")
    assert [token.name for token in load.load(config).tokens] == ["mine", "a", "b"]
    assert mode(beside) == 0o640


def test_the_first_token_of_all_is_told_apart(config: Path) -> None:
    config.write_text(CONFIG + MAIN_TOKEN)
    assert not add(config, entry("a"))


def test_a_dollar_sign_is_no_reference(config: Path, beside: Path) -> None:
    name = "$${X} ${HOME} $"
    add(config, entry(name))
    assert [token.name for token in load.load(config, {}).tokens] == [name]
    assert names(beside, {}) == {name}
    assert remove(config, name, may_open=True)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"rpm": 0}, "[[tokens]] 'a' rpm: expected a whole number >= 1"),
        ({"models": ["m", "n"]}, "[[tokens]] 'a' models: there is no model 'n'"),
        ({"budget": {"usd": -1.0}}, "[[tokens]] 'a' budget.usd: expected a number > 0"),
        ({"name": "mine"}, "[[tokens]] 'mine' name: "),
        ({"name": "main"}, "[[tokens]] 'main' name: "),
        ({"key": "another-key-of-its-own"}, "[[tokens]] 'a' key: "),
        ({"name": ""}, "name: expected a string of length >= 1"),
        ({"bogus": 1}, "[[tokens]] 'a' bogus: unknown key"),
    ],
)
def test_what_is_wrong_with_an_entry_is_said_as_by_check_and_nothing_is_written(
    config: Path, beside: Path, more: dict[str, Any], says: str
) -> None:
    config.write_text(CONFIG + MAIN_TOKEN)
    beside.write_text(MINE)
    with pytest.raises(ConfigError) as found:
        add(config, {**entry("a"), **more})
    said = problems(found)
    assert said.startswith(f"{beside}: ")
    assert says in said
    assert beside.read_text() == MINE
    # The very same words.
    table = {**entry("a"), **more}
    beside.write_text(MINE + "\n" + tokens_file._entry(table))
    with pytest.raises(ConfigError) as checked:
        load.load(config)
    assert problems(checked) == said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[tokens]", "tokens.toml: not valid TOML: "),
        ("[server]\n", "tokens.toml: [server]: only [[tokens]] and [[admins]] may stand here"),
        ('tokens = [{ name = "x", key = "long-enough" }]\n', "only a person can change; edit it"),
    ],
)
def test_a_file_that_cannot_be_added_to_stays(
    config: Path, beside: Path, text: str, says: str
) -> None:
    beside.write_text(text)
    with pytest.raises(ConfigError) as found:
        add(config, entry("a"))
    assert says in problems(found)
    assert beside.read_text() == text


def test_a_file_that_is_no_text_stays(config: Path, beside: Path) -> None:
    beside.write_bytes(b"# \xff\n")
    with pytest.raises(ConfigError, match=r"tokens\.toml: not UTF-8 \(byte 2\)"):
        add(config, entry("a"))
    assert beside.read_bytes() == b"# \xff\n"


def test_an_invalid_configuration_gets_no_entry(config: Path, beside: Path) -> None:
    config.write_text(CONFIG + "[log]\nlevel = 1\n")
    with pytest.raises(ConfigError, match=r"config\.toml: \[log\] level: expected"):
        add(config, entry("a"))
    config.unlink()
    with pytest.raises(ConfigError, match=r"config\.toml: no such file"):
        add(config, entry("a"))
    assert not beside.exists()


def test_a_configuration_that_is_itself_called_so_gets_no_entry(config: Path) -> None:
    config = config.rename(config.with_name("tokens.toml"))
    with pytest.raises(ConfigError, match="is the configuration file; give that another name"):
        add(config, entry("a"))
    assert config.read_text() == CONFIG


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_and_its_target_is_replaced(
    config: Path, beside: Path, tmp_path: Path, exists: bool
) -> None:
    (tmp_path / "far").mkdir()
    target = tmp_path / "far" / "away.toml"
    if exists:
        target.write_text(MINE)
        target.chmod(0o644)
    beside.symlink_to(Path("far") / "away.toml")
    add(config, entry("a"))
    assert beside.is_symlink()
    assert mode(target) == (0o644 if exists else 0o600)
    assert load.load(config).tokens[-1].name == "a"
    assert os.listdir(tmp_path / "far") == ["away.toml"]


@pytest.mark.parametrize("target", ["tokens.toml", "nowhere/tokens.toml"])
def test_a_link_to_nowhere_is_an_error(config: Path, beside: Path, target: str) -> None:
    beside.symlink_to(target)
    with pytest.raises(ConfigError, match=r"tokens\.toml: cannot be (changed|read): "):
        add(config, entry("a"))
    assert beside.is_symlink()


@pytest.mark.parametrize("call", ["replace", "fsync", "fchmod"])
def test_when_writing_fails_the_old_file_is_still_there(
    config: Path, beside: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    beside.write_text(MINE)
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(ConfigError, match="cannot be changed: No space left on device"):
        add(config, entry("a"))
    assert beside.read_text() == MINE
    assert sorted(os.listdir(config.parent)) == ["config.toml", "tokens.toml"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_files_stay_readable_for_whom_the_gateway_runs_as(config: Path, beside: Path) -> None:
    os.chown(config, 1234, 1235)
    add(config, entry("a"))
    assert (beside.stat().st_uid, beside.stat().st_gid) == (1234, 1235)
    os.chown(beside, 1236, 1237)
    add(config, entry("b"))
    assert (beside.stat().st_uid, beside.stat().st_gid) == (1236, 1237)
    assert mode(beside) == 0o600


def test_the_first_entry_makes_the_folder_of_the_state(config: Path) -> None:
    config.write_text(f'[server]\nstate_dir = "var/state"\n{config.read_text()}')
    assert add(config, entry("a"))
    state = config.parent / "var" / "state"
    assert sorted(os.listdir(state)) == [".gitignore", "tokens.toml"]
    assert mode(state) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_in_a_folder_of_its_own_they_are_for_its_owner(config: Path) -> None:
    """Of a configuration in /etc the owner is root, whoever the gateway runs as."""
    config.write_text(f'[server]\nstate_dir = "state"\n{config.read_text()}')
    state = config.parent / "state"
    state.mkdir()
    os.chown(state, 1234, 1235)
    add(config, entry("a"))
    made = (state / "tokens.toml").stat()
    assert (made.st_uid, made.st_gid) == (1234, 1235)


# Removing...


def test_an_entry_is_removed_and_all_else_stays(config: Path, beside: Path) -> None:
    beside.write_text(MINE + "\n")
    add(config, entry("a", budget={"usd": 1.0}))
    add(config, entry("b"))
    text = beside.read_text()
    assert not remove(config, "a")
    assert [token.name for token in load.load(config).tokens] == ["mine", "b"]
    assert not remove(config, "b")
    assert beside.read_text() == MINE + "\n"
    assert text.startswith(MINE)
    assert sorted(os.listdir(config.parent)) == ["config.toml", "tokens.toml"]


def test_the_last_token_goes_only_if_that_is_meant(config: Path, beside: Path) -> None:
    add(config, entry("a"))
    text = beside.read_text()
    with pytest.raises(ConfigError, match=r"'a' is the only token, .* open to everyone"):
        remove(config, "a")
    assert beside.read_text() == text
    assert remove(config, "a", may_open=True)
    assert beside.read_text() == ""
    assert mode(beside) == 0o600
    assert load.load(config).tokens == ()


def test_a_token_in_the_main_file_counts_but_is_not_touched(config: Path, beside: Path) -> None:
    config.write_text(CONFIG + MAIN_TOKEN)
    add(config, entry("a"))
    with pytest.raises(ConfigError, match=r"'main' stands in .*config\.toml, which is yours"):
        remove(config, "main", may_open=True)
    assert not remove(config, "a")
    assert config.read_text() == CONFIG + MAIN_TOKEN


def test_an_unknown_token_is_not_removed(config: Path) -> None:
    with pytest.raises(ConfigError, match="no token 'x'; known tokens: none"):
        remove(config, "x")
    config.write_bytes(b"# \xff")
    with pytest.raises(ConfigError, match=r"config\.toml: not UTF-8"):
        remove(config, "x")
    config.write_text(CONFIG + MAIN_TOKEN)
    add(config, entry("a"))
    with pytest.raises(ConfigError, match="no token 'x'; known tokens: main, a"):
        remove(config, "x")


def test_a_token_can_be_removed_while_something_else_is_wrong(config: Path, beside: Path) -> None:
    beside.write_text(f'{MINE}\n[[tokens]]\nname = "${{UNSET}}"\n[[tokens]]\nname = "a"\n')
    config.write_text(CONFIG + "[log]\nlevel = 1\n")
    assert not remove(config, "mine", environ={})
    assert "mine" in beside.read_text(), "the comments"
    assert names(beside, {}) == {"${UNSET}", "a"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('tokens = [{ name = "a" }, { name = "b" }]\n', "is not under a [[tokens]]; remove it by"),
        ('[[tokens]]\nname = "a"\n[[tokens]]\nname = "a"\n', "'a' name: appears twice; remove"),
        (
            # Its parts lie apart.
            '[[tokens]]\nname = "a"\n[x]\n[tokens.budget]\nusd = 1\n[[tokens]]\nname = "b"\n',
            "only a person can change",
        ),
        ("[[tokens]", "not valid TOML"),
    ],
)
def test_what_cannot_be_cut_out_cleanly_stays(
    config: Path, beside: Path, text: str, says: str
) -> None:
    beside.write_text(text)
    with pytest.raises(ConfigError) as found:
        remove(config, "a", may_open=True)
    assert says in problems(found)
    assert beside.read_text() == text


def test_names_of_no_file(beside: Path) -> None:
    assert names(beside) == frozenset()
