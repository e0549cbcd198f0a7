"""Where the configuration file is."""

from __future__ import annotations

import os
from pathlib import Path


def config_path() -> Path:
    """Return the file that `GATEWAY_CONFIG` names, else `./config.toml`."""
    return Path(os.environ.get("GATEWAY_CONFIG") or "config.toml")
