"""Where a gateway writes: database, journal, captures, pid file and tokens.

It is asked for before the configuration is valid, so nothing else of the file has to be.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ...errors import ConfigError
from ...file_owner import give_to_owner, make_private_folder
from ..environment import MissingVariable, expand

# Overrules the file: `--state-dir` sets it, so that workers have it too.
VARIABLE: Final = "GATEWAY_STATE_DIR"
_KEY: Final = "state_dir"
# In a folder of its own, so that no repository around it takes up keys and records.
_IGNORE: Final = ".gitignore"


def state_folder(config: Path, name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder by `[server] state_dir = name` of the file `config`."""
    return Path(environ.get(VARIABLE) or config.parent.absolute() / name).absolute()


def find_state(
    config: Path, text: str | None = None, environ: Mapping[str, str] = os.environ
) -> Path | None:
    """Return the folder by the file `config`, which may be wrong in all else.

    None if there is no word of it: then it is the folder of the file. `text` is what the file
    holds, if that is known. Raises ConfigError if a variable in it is not set.
    """
    if environ.get(VARIABLE):
        return state_folder(config, "", environ)
    if text is None:
        try:
            text = config.read_bytes().decode("utf-8-sig")
        except (OSError, UnicodeDecodeError):
            # For the loader to say.
            return None
    # A file may hold a hundred thousand tokens, and nearly none says anything of this.
    if _KEY not in text:
        return None
    try:
        tree: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
    server = tree.get("server")
    name = server.get(_KEY) if isinstance(server, dict) else None
    if not isinstance(name, str):
        return None
    try:
        name = expand(name, environ)
    except MissingVariable as exc:
        raise ConfigError([f"{config}: [server] {_KEY}: {exc}"]) from exc
    return state_folder(config, name, environ) if name else None


def make_folder(folder: Path, config: Path) -> None:
    """Make the folder of what a gateway writes, if it is not that of the file `config`.

    Raises ConfigError if that can't be.
    """
    if folder == config.parent.absolute():
        return
    try:
        make_private_folder(folder)
        if not any(folder.iterdir()):
            (folder / _IGNORE).write_text("*\n")
            give_to_owner(folder / _IGNORE, folder)
    except OSError as exc:
        raise ConfigError(
            [f"[server] {_KEY}: {folder}: cannot be used: {exc.strerror or exc}"]
        ) from exc
