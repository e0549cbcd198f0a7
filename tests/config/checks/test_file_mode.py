from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.checks.file_mode import readable_secrets


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[providers.p]\napi_key = "sk-12345678"\n', "providers.p.api_key"),
        ('[providers.p]\napi_keys = ["${A}", "sk-12345678"]\n', "providers.p.api_keys"),
        ('[[tokens]]\nkey = "${A}"\n[[tokens]]\nkey = "sk-12345678"\n', "tokens[1].key"),
        ('[providers.p]\noauth = { client_secret = "12345678" }\n', "providers.p.oauth."),
        ('[providers.p]\nheaders = { Authorization = "Bearer x" }\n', "providers.p.headers."),
        ('\ufeff[[admins]]\nkey = "sk-12345678"\n', "admins[0].key"),
    ],
)
def test_secrets_that_others_can_read(tmp_path: Path, text: str, where: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    for mode, who in ((0o644, "everyone"), (0o640, "its group")):
        file.chmod(mode)
        note = readable_secrets(file)
        assert note is not None
        assert note.startswith(where)
        assert who in note
        assert "12345678" not in note
    file.chmod(0o600)
    assert readable_secrets(file) is None


@pytest.mark.parametrize(
    "text",
    [
        '[providers.p]\napi_key = "${KEY}"\n',
        '[providers.p]\napi_key = "EMPTY"\n',
        f'[[tokens]]\nkey = "sha256:{"0" * 64}"\n',
        "not = [TOML",
        "",
    ],
)
def test_files_without_any(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    file.chmod(0o644)
    assert readable_secrets(file) is None
    assert readable_secrets(tmp_path / "none.toml") is None
