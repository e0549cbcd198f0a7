"""The configuration that is in use where there is no file: the demo, in memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ...installation import IN_CONTAINER
from .. import load
from ..paths import config_path
from ..schema import Config

# Nothing of it lasts: no database, no pid file. It listens on loopback, as by default. In our
# image, whose loopback nobody reaches, whoever publishes the port decides for whom it is.
_DEMO: Final = """\
[server]
pid_file = ""
open = {in_container}
[store]
url = ""
[providers.demo]
kind = "demo"
[[models]]
name = "demo"
routes = [{ provider = "demo", model = "demo-1", input_price = 0.15, output_price = 0.60 }]
"""


class FileOrDemo:
    """Reads the file that was named, or `./config.toml`; where there is none, it is the demo.

    Once a file has been read it is never the demo again: a file may be away for a moment while
    it is replaced, and its gateway must not be another one then.
    """

    def __init__(self, file: Path | None, environ: Mapping[str, str] = os.environ) -> None:
        self.path: Final = file or config_path()
        self._named = file is not None or bool(environ.get("GATEWAY_CONFIG"))
        self._in_container = IN_CONTAINER in environ

    def __repr__(self) -> str:
        return f"<FileOrDemo {'the demo' if self.is_demo else self.path}>"

    @property
    def is_demo(self) -> bool:
        """Whether there is no file, and none was named."""
        return not (self._named or os.path.lexists(self.path))

    def read(self) -> Config:
        """Return what is in use. Raises ConfigError."""
        if self.is_demo:
            is_open = "true" if self._in_container else "false"
            return load.parse(_DEMO.replace("{in_container}", is_open), "the demo", {})
        self._named = True
        return load.load(self.path)
