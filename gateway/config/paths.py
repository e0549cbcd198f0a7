"""Where the configuration file is, and the file of tokens beside it."""

from __future__ import annotations

import os
from pathlib import Path


def config_path() -> Path:
    """Return the file that `GATEWAY_CONFIG` names, else `./config.toml`."""
    return Path(os.environ.get("GATEWAY_CONFIG") or "config.toml")


def tokens_path(config: Path) -> Path:
    """Return the file whose `[[tokens]]` are read with the file `config`, if it exists.

    It is written by the gateway, so that `config` and its comments stay a person's own.
    """
    return config.with_name("tokens.toml")
