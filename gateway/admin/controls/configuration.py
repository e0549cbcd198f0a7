"""The configuration over HTTP: a pasted file is checked, or compared with the one in use."""

from __future__ import annotations

from typing import Final, NamedTuple

import trio
from starlette.responses import Response

from ...control import configuration
from ...control.configuration import CheckedConfig, ComparedConfig, PastedConfig
from ..request import AdminRequest, encoded

# Bytes of a file with its tokens. To check one takes time, of which one at a time may have some.
MOST_BYTES: Final = 4 * 1024 * 1024


class ExaminedConfig(NamedTuple):
    """What is wrong with a file, and what it would change."""

    checked: CheckedConfig
    compared: ComparedConfig


async def examined(
    request: AdminRequest, text: str, tokens: str, thread: trio.CapacityLimiter
) -> ExaminedConfig:
    """Check a file that came as a form, and compare it with the configuration in use."""
    running = request.resources.control.config
    # A form's line ends are CRLF, whatever was pasted (HTML, "Constructing the form data set").
    pasted = PastedConfig(text.replace("\r\n", "\n"), tokens.replace("\r\n", "\n") or None)

    def work() -> ExaminedConfig:
        return ExaminedConfig(configuration.check(pasted), configuration.compare(running, pasted))

    return await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=thread)


class ConfigurationEndpoints:
    """Reads on one thread, so that many files at once take no more than one."""

    def __init__(self) -> None:
        self._thread = trio.CapacityLimiter(1)

    async def check(self, request: AdminRequest) -> Response:
        """Answer with everything that is wrong with a file (see `CheckedConfig`)."""
        request.only()
        pasted = await request.json(PastedConfig)
        found = await trio.to_thread.run_sync(
            configuration.check, pasted, abandon_on_cancel=True, limiter=self._thread
        )
        return encoded(found)

    async def compare(self, request: AdminRequest) -> Response:
        """Answer with what a file would change (see `ComparedConfig`)."""
        request.only()
        pasted = await request.json(PastedConfig)
        running = request.resources.control.config
        found = await trio.to_thread.run_sync(
            configuration.compare, running, pasted, abandon_on_cancel=True, limiter=self._thread
        )
        return encoded(found)
