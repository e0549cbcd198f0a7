"""Which models a provider says that it has: one GET with its key, outside of any gateway."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from ... import __version__
from ...core.routing.call import Call
from ...errors import ConfigError
from ...interrupts import leave_to_trio
from ...providers.kind import Place
from ...providers.model_list import read_models
from ...providers.registry import KINDS
from ...providers.settings import Provider
from ...stops import running_after
from ...transport_errors import UpstreamFailure
from ...upstream.resolver import Resolver
from ...upstream.transport import Transport
from ..credentials import Credentials

if TYPE_CHECKING:
    import httpx

_SECONDS: Final = 30.0
# OpenRouter's list has 400 KiB.
_MOST: Final = 16 * 1024 * 1024
_USER_AGENT: Final = f"gateway/{__version__}".encode()


def ask_for_models(name: str, provider: Provider, seconds: float = _SECONDS) -> list[str]:
    """Return the models of the provider called `name`. Raises ConfigError with what failed."""
    kind = KINDS[provider.kind]
    if (address := kind.address(provider)) is None:
        raise ConfigError([f"{name!r} is served by the gateway itself, and takes any model"])
    leave_to_trio()
    found = trio.run(_answer, name, provider, address, seconds)
    if isinstance(found, str):
        raise ConfigError([f"{name!r} {found}"])
    status, body = found
    if status != 200:
        said = kind.dialect.read_error(body)
        raise ConfigError([f"{name!r} answers {status}{f': {said}' if said else ''}"])
    if not (models := read_models(body)):
        raise ConfigError([f"{name!r} answers, but not with a list of models"])
    return models


async def _answer(
    name: str, provider: Provider, address: str, seconds: float
) -> tuple[int, bytes] | str:
    """Return status and body of the answer, or what failed."""
    trio.socket.set_custom_hostname_resolver(Resolver())
    transport = Transport()
    found: tuple[int, bytes] | str = f"does not answer within {seconds:g} s"
    async with trio.open_nursery() as nursery:
        credentials = Credentials(lambda: _client(transport), random.random, nursery)
        credentials.start({name: provider})
        token = credentials.token(provider)
        call = KINDS[provider.kind].models_call(name, provider, Place(address, _USER_AGENT, token))
        with running_after(seconds):
            try:
                if token is not None:
                    bearer = (b"authorization", b"Bearer " + await token.get())
                    call = msgspec.structs.replace(call, headers=(*call.headers, bearer))
                found = await _fetch(transport, call)
            except UpstreamFailure as exc:
                found = f"cannot be asked: {exc}"
        nursery.cancel_scope.cancel("no token is needed any more")
    await transport.aclose()
    return found


def _client(transport: Transport) -> httpx.AsyncClient:
    from ...upstream.http_client import http_client

    return http_client(transport)


async def _fetch(transport: Transport, call: Call) -> tuple[int, bytes]:
    response = await transport.request(call)
    body = bytearray()
    try:
        while len(body) <= _MOST and (data := await response.receive_some()):
            body += data
    finally:
        await response.aclose()
    return response.status, bytes(body)
