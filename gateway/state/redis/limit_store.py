"""Limits kept in a Valkey or Redis server: each call is one script, and so one step."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any, Final

from coredis.exceptions import NoScriptError

from ...core.limits.operations import AnnounceCall, LimitCall, StoreFailed
from ...core.state_server import StateServer
from .arguments import Arguments, ScriptArguments
from .connection import RedisConnection, news_channel
from .process_roll import ProcessRoll

SCRIPT: Final = files(__package__).joinpath("limits.lua").read_bytes()
_SHA: Final = hashlib.sha1(SCRIPT, usedforsecurity=False).hexdigest()


class RedisLimitStore:
    """The server of the table `[state]`."""

    def __init__(self, settings: StateServer) -> None:
        self._channel = news_channel(settings.prefix)
        self._connection = RedisConnection(settings, self._channel)
        self._arguments = ScriptArguments(settings.prefix)
        # The processes that share the server, by the same connection.
        self.roll: Final = ProcessRoll(self._connection, settings.prefix)

    def __repr__(self) -> str:
        return f"<RedisLimitStore by {self._connection!r}>"

    @property
    def hear(self) -> Callable[[bytes], None]:
        return self._connection.hear

    @hear.setter
    def hear(self, hear: Callable[[bytes], None]) -> None:
        self._connection.hear = hear

    @property
    def lost(self) -> str:
        return self._connection.lost

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        async with self._connection.connected():
            yield

    async def call(self, call: LimitCall) -> Any:
        connection = self._connection
        if isinstance(call, AnnounceCall):
            await connection.ask(b"PUBLISH", self._channel, call.data)
            return None
        arguments = self._arguments.of(call)
        try:
            said = await connection.ask_packed(arguments.command(b"EVALSHA", _SHA))
        except NoScriptError:
            # A server that was started anew, or told to forget its scripts.
            said = await self._evaluate(arguments)
        return self._arguments.reply(call, said)

    async def _evaluate(self, arguments: Arguments) -> bytes:
        try:
            said: bytes = await self._connection.ask_packed(arguments.command(b"EVAL", SCRIPT))
        except NoScriptError as exc:
            raise StoreFailed(str(exc)) from exc
        return said
