"""The text of a file of the configuration, and TOML of a text."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from ...errors import ConfigError


def absent(path: Path) -> ConfigError:
    return ConfigError(
        [
            f"{path}: no such file; pass --config FILE or set GATEWAY_CONFIG, or have one written"
            " by `gateway init`"
        ]
    )


def read_text(path: Path) -> str | None:
    """Return what the file holds, None if there is none. Raises ConfigError."""
    try:
        # Some editors begin a UTF-8 file with a byte order mark, which TOML does not know.
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as exc:
        raise ConfigError([f"{path}: not UTF-8 (byte {exc.start}); TOML files must be"]) from exc
    except OSError as exc:
        raise ConfigError([f"{path}: cannot be read: {exc.strerror}"]) from exc


def parse_toml(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError([f"{name}: not valid TOML: {exc}"]) from exc
