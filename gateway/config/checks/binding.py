"""Another address than the file's, from the command line."""

from __future__ import annotations

import msgspec

from ...errors import ConfigError
from ..schema import Config
from .cross_check import check_bind


def with_bind(config: Config, bind: str) -> Config:
    """Return `config` that binds to `bind` instead. Raises ConfigError."""
    if problems := [f"--bind: {problem}" for problem in check_bind(bind)]:
        raise ConfigError(problems)
    server = msgspec.structs.replace(config.server, bind=bind)
    return msgspec.structs.replace(config, server=server)
