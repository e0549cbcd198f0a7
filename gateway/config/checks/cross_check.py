"""What holds between tables: references, loops, duplicates, and the meaning of values.

Each problem is a sentence that starts with the table and the key and ends with what would
be right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args
from urllib.parse import urlsplit

import msgspec

from ...core.limits.shedding import OverloadPolicy
from ...core.routing.breaker.policy import BreakerPolicy
from ...providers.registry import KINDS
from ...providers.settings import ClientCredentials, Provider
from ..catalog import Names
from ..cors import Cors
from ..header_syntax import HEADER_NAME, HEADER_VALUE
from ..schema import Config, Model
from .administration import check_admin, check_proxies
from .keys import KeyCheck, unknown_providers
from .models import check_models
from .observability import check_records
from .plain_http import plain_http
from .state_server import check_state

# What a route may choose.
_RESPONSES: Final = "responses"
# To be matched in full: `$` would let a line break at the end pass.
# It stands in a header of every answer.
# Characters of a secret that nobody guesses: 32 hexadecimal digits are 128 bits.
_SHORTEST: Final = 32
_PROVIDER_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
# As browsers write it (RFC 6454 section 6.1): they are compared letter by letter.
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")
# Written by the transport itself, or able to break the framing of a request.
_RESERVED_HEADERS: Final = frozenset(
    {
        *("host", "content-length", "transfer-encoding", "connection", "expect"),
        *("upgrade", "te", "trailer", "x-gateway-hop"),
    }
)


class Unread(msgspec.Struct, frozen=True):
    """Names of tables that exist but have faults of their own; "" where the name is a fault."""

    providers: set[str]
    models: set[str]


_ALL_READ: Final = Unread(set(), set())


def all_names(config: Config, unread: Unread = _ALL_READ) -> Names:
    """Return the models by name, with stand-ins for those that could not be read."""
    absent = [Model(name=name) for name in sorted(unread.models) if name]
    return Names([*absent, *config.models])


def cross_check(
    config: Config,
    unread: Unread = _ALL_READ,
    keys: KeyCheck | None = None,
    *,
    on_disk: bool = True,
) -> Iterator[str]:
    """Yield every problem that no single table can see.

    `keys` remembers the tokens and admins, so that it can check those of another file too.
    """
    names = all_names(config, unread)
    yield from check_bind(config.server.bind)
    if 0 < len(config.server.aws_secret) < _SHORTEST:
        yield (
            f"[server] aws_secret: has fewer than {_SHORTEST} characters, and whoever guesses it"
            " can make keys; draw one with: openssl rand -hex 32"
        )
    yield from check_proxies("[server]", config.server.trusted_proxies)
    yield from _cors(config.cors)
    yield from check_admin(config.admin, config.server.bind, _url)
    if config.admin.bind:
        yield from check_bind(config.admin.bind, "[admin] bind")
    yield from _breaker(config.breaker)
    yield from _overload(config.overload, config.server.max_body_bytes)
    for name, provider in config.providers.items():
        yield from _provider(f"[providers.{name}]", provider, on_disk=on_disk)
        if not _PROVIDER_NAME.fullmatch(name):
            yield f"[providers.{name!r}]: use letters, digits, '.', '_' and '-' in the name"
    if not config.models and not unread.models:
        yield "[[models]]: there is no model; add one with a name and routes"
    known = ", ".join(config.providers) or "none yet"
    yield from check_models(config.models, names, config.providers.keys() | unread.providers, known)
    yield from _apis(config)
    yield from _keeping(config)
    yield from check_records(config, names, bool(unread.models))
    yield from check_state(config.state, on_disk=on_disk)
    if config.cache.shared and not config.state.url:
        yield "[cache] shared: answers are shared in the server of [state], and its url is empty"
    keys = keys or KeyCheck(names, aws=bool(config.server.aws_secret))
    yield from keys.teams(config.teams)
    providers = config.providers.keys() | unread.providers
    yield from unknown_providers("[server] passthrough", config.server.passthrough, providers)
    yield from keys.tokens(config.tokens, providers)
    yield from keys.admins(config.admins)


def _apis(config: Config) -> Iterator[str]:
    """Yield the routes with an `api` whose provider does not have OpenAI's two."""
    for model in config.models:
        for number, route in enumerate(model.routes):
            provider = config.providers.get(route.provider)
            if route.api and provider is not None and _RESPONSES not in _choices(provider):
                yield (
                    f"[[models]] {model.name!r} routes[{number}].api: a provider of the kind "
                    f"{provider.kind!r} has no choice of APIs; remove it"
                )


def _keeping(config: Config) -> Iterator[str]:
    if config.responses.store and not config.store.url:
        yield (
            '[responses] store: needs a database to keep responses in, and [store] url is ""; '
            "set that, or store = false"
        )


def _choices(provider: Provider) -> tuple[str, ...]:
    fields = msgspec.structs.fields(type(provider))
    return next((get_args(field.type) for field in fields if field.name == "api"), ())


def _breaker(breaker: BreakerPolicy) -> Iterator[str]:
    if breaker.open_time > breaker.max_open_time:
        yield (
            f"[breaker] open_time: {breaker.open_time:g} is more than max_open_time, which is "
            f"{breaker.max_open_time:g}; raise that or lower this"
        )


def _overload(overload: OverloadPolicy, largest: int) -> Iterator[str]:
    if 0 < (overload.max_body_memory or 0) < largest:
        yield (
            f"[overload] max_body_memory: {overload.max_body_memory} is less than [server] "
            f"max_body_bytes, which is {largest}; raise this or lower that"
        )
    if overload.lag >= overload.lag_max and overload.lag:
        yield (
            f"[overload] lag: {overload.lag:g} is not less than lag_max, which is "
            f"{overload.lag_max:g}; raise that or lower this"
        )


def _cors(cors: Cors) -> Iterator[str]:
    for origin in cors.allow_origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            yield (
                f'[cors] allow_origins: {origin!r} is not an origin; write "*" or scheme://host'
                "[:port] in lower case and without a path, as in https://chat.example.com"
            )
    if "*" in cors.allow_origins and cors.allow_credentials:
        yield (
            '[cors] allow_credentials: not together with allow_origins = ["*"], which browsers '
            "refuse; name the origins"
        )
    for key in ("allow_methods", "allow_headers", "expose_headers"):
        for name in getattr(cors, key):
            if not HEADER_NAME.fullmatch(name):
                yield f"[cors] {key}: {name!r} is not a name"


def check_bind(bind: str, where: str = "[server] bind") -> Iterator[str]:
    """Yield what is wrong with an address to listen on."""
    if bind.startswith("unix:"):
        if len(bind) == len("unix:"):
            yield f"{where}: 'unix:' needs a path, such as unix:/run/gateway.sock"
        return
    host, colon, port = bind.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        yield f"{where}: {bind!r} is not HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080"


def _provider(where: str, provider: Provider, *, on_disk: bool) -> Iterator[str]:
    for key, problem in KINDS[provider.kind].problems(provider):
        yield f"{where} {key}: {problem}"
    if provider.base_url is not None:
        yield from _url(f"{where} base_url", provider.base_url, "https://llm.example.com/v1")
    yield from plain_http(where, provider)
    yield from _api_keys(where, provider)
    if provider.oauth is not None:
        yield from _oauth(where, provider, provider.oauth)
    if (provider.max_concurrent or 0) > provider.max_connections:
        yield (
            f"{where} max_concurrent: {provider.max_concurrent} is more than max_connections, "
            f"which is {provider.max_connections}; each call takes a connection of its own"
        )
    if on_disk and provider.ca_file is not None and not Path(provider.ca_file).is_file():
        yield f"{where} ca_file: there is no file {provider.ca_file!r}"
    for name, value in provider.headers.items():
        if not HEADER_NAME.fullmatch(name):
            yield f"{where} headers.{name}: not a header name"
        elif name.lower() in _RESERVED_HEADERS:
            yield f"{where} headers.{name}: is set by the gateway; remove it"
        elif wrong := _value(value):
            yield f"{where} headers.{name}: {wrong}"


def _api_keys(where: str, provider: Provider) -> Iterator[str]:
    if provider.api_key is not None and provider.api_keys:
        yield f"{where} api_keys: not together with api_key; put that into the list"
    if provider.api_key is not None and (wrong := _value(provider.api_key)):
        yield f"{where} api_key: {wrong}"
    first: dict[str, int] = {}
    for number, key in enumerate(provider.api_keys):
        if not key:
            yield f"{where} api_keys[{number}]: is empty; remove it"
        elif wrong := _value(key):
            yield f"{where} api_keys[{number}]: {wrong}"
        elif key in first:
            yield f"{where} api_keys[{number}]: is api_keys[{first[key]}] again; give each key once"
        first.setdefault(key, number)


def _oauth(where: str, provider: Provider, oauth: ClientCredentials) -> Iterator[str]:
    if provider.api_key is not None or provider.api_keys:
        yield f"{where} oauth: not together with a key; remove api_key and api_keys, or this"
    if any(name.lower() == "authorization" for name in provider.headers):
        yield f"{where} oauth: not together with headers.authorization; remove one of them"
    yield from _url(f"{where} oauth.token_url", oauth.token_url, "https://login.example.com/token")
    for key in ("client_id", "client_secret"):
        if not getattr(oauth, key):
            yield f"{where} oauth.{key}: is empty; the token endpoint's operator gives you one"


def _value(value: str) -> str | None:
    """Return what keeps `value` from being a header's."""
    if not HEADER_VALUE.fullmatch(value):
        return "has a line break or a control character"
    if value != value.strip(" \t"):
        # No part of a value (RFC 9110 section 5.5), so the request could not be written.
        return "begins or ends with a blank; remove it"
    return None


def _url(where: str, url: str, example: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
        host = parts.hostname
    except ValueError:
        port_is_fine, host = False, None
    if not port_is_fine or not host or parts.scheme not in ("http", "https"):
        # Not quoted: a URL with a fault may also hold a password.
        yield f"{where}: not a URL such as {example}"
    elif parts.username is not None or parts.password is not None:
        yield f"{where}: holds credentials; put them in api_key or headers"
    elif parts.query or parts.fragment:
        yield f"{where}: has a query or fragment; give the path only"
    elif not url.isascii() or re.search(r"[\x00-\x20\x7f]", url):
        yield f"{where}: has a space, a control or a non-ASCII character"
