"""The certificates of `[server.tls]`, read again at every reload."""

from __future__ import annotations

from pathlib import Path

import trio

from ...config.schema import Config
from ...serve.surroundings.tls import Certificates


class RenewedCertificates:
    """None until `read` finds that the configuration has some."""

    def __init__(self) -> None:
        self._certificates: Certificates | None = None

    def __repr__(self) -> str:
        return f"<RenewedCertificates {self._certificates}>"

    def read(self, config: Config, file: Path) -> Certificates | None:
        """Return those of `config`, whose file is `file`. Raises ConfigError."""
        if config.server.tls is not None:
            self._certificates = Certificates(config.server.tls, file.absolute().parent)
        return self._certificates

    async def renew(self) -> None:
        """Read the files again. Raises ConfigError, and then those in use stay."""
        if self._certificates is not None:
            await trio.to_thread.run_sync(self._certificates.renew, abandon_on_cancel=True)
