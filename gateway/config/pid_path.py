"""Where the pid file of a configuration is, even of one that is not valid."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ..errors import ConfigError
from .environment import MissingVariable, expand
from .listener.server import Server
from .sources.state import find_state

_DEFAULT: Final = Server().pid_file


def pid_path(config: Path, name: str, folder: Path | None = None) -> Path | None:
    """Return where `[server] pid_file = name` of the file `config` is; None: there is none.

    `folder` is that of what the gateway writes, if it is not the one of `config`.
    """
    return (folder or config.parent.absolute()) / name if name else None


def read_pid_path(config: Path, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return where the pid file is by the file `config`, which may be wrong in all else.

    A gateway that was started before the file was broken has to be found too. Raises
    ConfigError if it can't be told.
    """
    try:
        tree = tomllib.loads(config.read_bytes().decode("utf-8-sig"))
    except OSError as exc:
        raise ConfigError([f"{config}: cannot be read: {exc.strerror}"]) from exc
    except ValueError as exc:
        raise ConfigError([f"{config}: not valid TOML: {exc}"]) from exc
    server = tree.get("server")
    name = server.get("pid_file", _DEFAULT) if isinstance(server, dict) else _DEFAULT
    try:
        name = expand(name, environ)
    except MissingVariable as exc:
        raise ConfigError([f"{config}: [server] pid_file: {exc}"]) from exc
    if not isinstance(name, str):
        raise ConfigError([f"{config}: [server] pid_file: expected a string"])
    return pid_path(config, name, find_state(config, environ=environ))
