"""A configuration that is read while another is in use."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from ..config import schema
from ..config.callers import AllCallers
from ..config.changes import changed_tokens, changes
from ..config.checks.advice import advice
from ..config.checks.vanished import opened, vanished
from ..config.reload_status import hold_fixed
from ..errors import ConfigError

# A hundred thousand tokens may all be over.
_MAX_NOTES: Final = 20

_log = structlog.get_logger(__name__)

# Reads and checks a configuration; raises ConfigError.
Source = Callable[[], schema.Config]
# Who may call by a configuration.
CallersOf = Callable[[schema.Config], AllCallers]


class LoadedConfig(NamedTuple):
    """What a file says, and how that differs from the configuration in use."""

    config: schema.Config
    callers: AllCallers
    held: tuple[str, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]
    changed_tokens: Mapping[str, list[str]]


def read_again(
    source: Source, old: schema.Config, path: Path, callers: CallersOf, *, closed: bool
) -> LoadedConfig:
    """Do in a thread what takes long, half a second and more for 10^5 tokens.

    A gateway that is `closed` wants keys even without tokens. Raises ConfigError, also where a
    file that may be cut short would open the gateway.
    """
    config, held = hold_fixed(old, source())
    if problem := opened(bool(old.tokens) and not closed, config):
        raise ConfigError([f"{path}: {problem}"])
    return LoadedConfig(
        config,
        callers(config),
        held,
        tuple(changes(old, config)),
        vanished(old, config),
        changed_tokens(old, config),
    )


def warn(config: schema.Config, old: schema.Config | None = None) -> None:
    """Log what is valid in a configuration that is put into use, and probably not meant."""
    if not config.tokens and (old is None or old.tokens):
        _log.warning("no [[tokens]]: everyone who reaches the port can use every model")
    for note in islice(advice(config, time.time()), _MAX_NOTES):
        _log.warning("configuration: probably not meant", note=note)
