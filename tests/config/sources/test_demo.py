from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.sources.demo import FileOrDemo
from gateway.config.sources.shipped import SHIPPED
from gateway.errors import ConfigError
from gateway.installation import IN_CONTAINER


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    return tmp_path


def test_an_empty_folder_gives_the_demo_which_keeps_nothing() -> None:
    source = FileOrDemo(None, {})
    assert source.is_demo
    config = source.read()
    assert [model.name for model in config.models] == ["demo"]
    assert (config.store.url, config.server.pid_file) == ("", "")
    assert config.server.bind == "127.0.0.1:8080"
    assert not config.debug_log.on


def test_the_demo_is_for_this_machine_and_in_our_image_for_its_port() -> None:
    assert not FileOrDemo(None, {}).read().server.open
    assert FileOrDemo(None, {IN_CONTAINER: "1"}).read().server.open


@pytest.mark.parametrize("environ", [{}, {"GATEWAY_CONFIG": ""}])
def test_a_file_in_the_folder_is_read(empty: Path, environ: dict[str, str]) -> None:
    (empty / "config.toml").write_text(SHIPPED.read_text())
    source = FileOrDemo(None, environ)
    assert not source.is_demo
    assert source.read().store.url


def test_a_file_that_was_named_must_be_there(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"other\.toml: no such file.*gateway init"):
        FileOrDemo(Path("other.toml"), {}).read()
    monkeypatch.setenv("GATEWAY_CONFIG", "named.toml")
    with pytest.raises(ConfigError, match=r"named\.toml: no such file"):
        FileOrDemo(None).read()


def test_a_link_that_leads_nowhere_is_no_demo(empty: Path) -> None:
    (empty / "config.toml").symlink_to("gone")
    with pytest.raises(ConfigError, match="no such file"):
        FileOrDemo(None, {}).read()


def test_a_demo_goes_over_to_a_file_and_never_back(empty: Path) -> None:
    source = FileOrDemo(None, {})
    assert source.read().store.url == ""
    file = empty / "config.toml"
    file.write_text(SHIPPED.read_text())
    assert source.read().store.url
    file.unlink()
    with pytest.raises(ConfigError, match="no such file"):
        source.read()
