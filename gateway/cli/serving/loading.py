"""The configuration that is served, for whoever serves it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import structlog

from ...config.checks.binding import with_bind
from ...config.checks.file_mode import readable_secrets
from ...config.pid_path import pid_path as pid_path_of
from ...config.schema import Config
from ...config.sources.demo import FileOrDemo
from ...config.sources.state import state_folder
from ...serve.crew.member import WORKER
from ...telemetry import logs
from ..announcement import announce_demo

# In a worker's environment: the supervisor's configuration has tokens. Without it a worker that
# is started again while the file is half-written would be open to everyone.
WITH_TOKENS: Final = "GATEWAY_WITH_TOKENS"

_log = structlog.get_logger(__name__)


def read(source: FileOrDemo, bind: str | None) -> Config:
    """Return what the file says, but for the address of the command line. Raises ConfigError."""
    config = source.read()
    return config if bind is None else with_bind(config, bind)


def load(source: FileOrDemo, bind: str | None) -> Config:
    """Return the same with logging set up, having told a person what there is to tell.

    Raises ConfigError.
    """
    config = read(source, bind)
    logs.set_up_logging(config.log.level, config.log.format)
    if source.is_demo and WORKER not in os.environ:
        announce_demo(source.path)
    if WORKER not in os.environ and (note := readable_secrets(source.path)) is not None:
        _log.warning(note)
    return config


def pid_path(config: Config, source: FileOrDemo) -> Path | None:
    """Return where the pid file is; None: there is none."""
    server = config.server
    return pid_path_of(source.path, server.pid_file, state_folder(source.path, server.state_dir))
