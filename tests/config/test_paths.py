from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.paths import config_path, tokens_path


@pytest.mark.parametrize(
    ("value", "expected"), [(None, "config.toml"), ("", "config.toml"), ("/a/b.toml", "/a/b.toml")]
)
def test_config_path(monkeypatch: pytest.MonkeyPatch, value: str | None, expected: str) -> None:
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    if value is not None:
        monkeypatch.setenv("GATEWAY_CONFIG", value)
    assert config_path() == Path(expected)


@pytest.mark.parametrize(
    ("config", "expected"),
    [("config.toml", "tokens.toml"), ("/etc/gateway/main.toml", "/etc/gateway/tokens.toml")],
)
def test_tokens_path(config: str, expected: str) -> None:
    assert tokens_path(Path(config)) == Path(expected)
