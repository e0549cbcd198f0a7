"""`gateway init`, and what `.gitignore` says of what is written."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from gateway.cli.commands.init import init
from gateway.config import load
from gateway.config.sources.shipped import SHIPPED

ROOT = Path(__file__).parents[3]
WRITTEN = ("gateway.db", "gateway.db-wal", "gateway.journal/x", "gateway.pid", "tokens.toml",
           "debug/2026/x", ".env")  # fmt: skip


def test_it_writes_a_file_that_is_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert init() == 0
    file = tmp_path / "config.toml"
    assert file.read_text() == SHIPPED.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert load.load(file, {}).models
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("wrote config.toml\n")
    assert " serve\n" in out
    assert "--config" not in out


def test_in_another_folder_the_next_steps_name_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a new" / "one"
    assert init(folder) == 0
    out, _ = capsys.readouterr()
    named = f"--config {shlex.quote(str(folder / 'config.toml'))}"
    assert out.count(named) == 3


def test_nothing_is_ever_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.toml"
    file.write_text("mine")
    assert init(tmp_path) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["config.toml"]
    assert file.read_text() == "mine"
    assert capsys.readouterr().err == f"error: {file}: exists already; nothing was written\n"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "config.toml").symlink_to(tmp_path / "elsewhere")
    assert init(tmp_path) == 1
    assert not (tmp_path / "elsewhere").exists()


def test_a_persons_own_list_of_ignored_files_stays(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine")
    assert init(tmp_path) == 0
    assert (tmp_path / ".gitignore").read_text() == "mine"


@pytest.mark.parametrize("where", ["file", "file/deeper"])
def test_where_there_can_be_no_folder(
    tmp_path: Path, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    assert init(tmp_path / where) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'file'}")


def ignored(folder: Path, names: tuple[str, ...]) -> list[str]:
    found = subprocess.run(  # noqa: S603  # git
        ["git", "-C", str(folder), "check-ignore", "--no-index", *names],  # noqa: S607
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return found.stdout.split()


def test_what_the_gateway_writes_is_ignored_by_git(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)  # noqa: S603, S607
    assert init(tmp_path) == 0
    assert ignored(tmp_path, (*WRITTEN, "config.toml")) == [*WRITTEN]


def test_in_a_clone_the_configuration_is_a_persons_own() -> None:
    names = (*WRITTEN, "config.toml", "state/gateway.db")
    (found,) = {len(ignored(ROOT, names)), len(names)}
    assert found
    tracked = subprocess.run(  # noqa: S603  # git
        ["git", "-C", str(ROOT), "ls-files", "config.toml", "tokens.toml"],  # noqa: S607
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert tracked.stdout == ""
