from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import load
from gateway.config.pid_path import read_pid_path
from gateway.config.sources.text import parse_toml, read_text
from gateway.errors import ConfigError

BOM = b"\xef\xbb\xbf"
TOKEN = b'[[tokens]]\nname = "t"\nkey = "12345678"\n'
CONFIG = b'[providers.d]\nkind = "demo"\n[[models]]\nname = "m"\n' + (
    b'routes = [{ provider = "d", model = "d" }]\n'
)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert read_text(tmp_path / "none.toml") is None


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_bytes(BOM + b"[server]\npid_file = 'a.pid'\n" + CONFIG)
    (tmp_path / "tokens.toml").write_bytes(BOM + TOKEN)
    assert [token.name for token in load.load(config, {}).tokens] == ["t"]
    assert [token.name for token in load.tokens(config, {})] == ["t"]
    assert read_pid_path(config, {}) == tmp_path / "a.pid"


def test_one_in_the_middle_is_a_fault(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_bytes(b"[server]\n" + BOM + b"open = true\n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load.load(config, {})


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_other_encodings_are_named(tmp_path: Path, encoding: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text("# \xff\n", encoding=encoding)
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_text(config)


def test_what_is_not_toml_is_named_with_its_file() -> None:
    with pytest.raises(ConfigError, match=r"^c\.toml: not valid TOML"):
        parse_toml("= nonsense", "c.toml")
