"""Where the configuration file is, and the file of tokens that belongs to it."""

from __future__ import annotations

import os
from pathlib import Path

from .sources.state import find_state


def config_path() -> Path:
    """Return the file that `GATEWAY_CONFIG` names, else `./config.toml`."""
    return Path(os.environ.get("GATEWAY_CONFIG") or "config.toml")


def tokens_path(config: Path, text: str | None = None) -> Path:
    """Return the file whose `[[tokens]]` are read with the file `config`, if it exists.

    It is written by the gateway, so that `config` and its comments stay a person's own. `text` is
    what `config` holds, if that is known. Raises ConfigError if the file can't be told.
    """
    folder = find_state(config, text)
    return config.with_name("tokens.toml") if folder is None else folder / "tokens.toml"
