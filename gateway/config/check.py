"""What holds between tables: references, loops, duplicates, and the meaning of values.

Each problem is a sentence that starts with the table and the key and ends with what would
be right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from .schema import Config, Cors, Model, Provider
from .snapshot import key_digest

# To be matched in full: `$` would let a line break at the end pass.
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 section 5.6.2
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_HASHED: Final = re.compile(r"sha256:[0-9a-fA-F]{64}")
# It stands in a header of every answer.
_PROVIDER_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
# As browsers write it (RFC 6454 section 6.1): they are compared letter by letter.
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")
# Written by the transport itself, or able to break the framing of a request.
_RESERVED_HEADERS: Final = frozenset(
    {
        *("host", "content-length", "transfer-encoding", "connection", "expect"),
        *("upgrade", "te", "trailer"),
    }
)


class Unread(msgspec.Struct, frozen=True):
    """Names of tables that exist but have faults of their own; "" where the name is one."""

    providers: set[str]
    models: set[str]


_ALL_READ: Final = Unread(set(), set())


def cross_check(config: Config, unread: Unread = _ALL_READ) -> Iterator[str]:
    """Yield every problem that no single table can see."""
    yield from _bind(config.server.bind)
    yield from _cors(config.cors)
    for name, provider in config.providers.items():
        yield from _provider(f"[providers.{name}]", provider)
        if not _PROVIDER_NAME.fullmatch(name):
            yield f"[providers.{name!r}]: use letters, digits, '.', '_' and '-' in the name"
    if not config.models and not unread.models:
        yield "[[models]]: there is no model; add one with a name and routes"
    yield from _models(config, unread)
    yield from _tokens(config, unread)


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
            if not _HEADER_NAME.fullmatch(name):
                yield f"[cors] {key}: {name!r} is not a name"


def _bind(bind: str) -> Iterator[str]:
    if bind.startswith("unix:"):
        if len(bind) == len("unix:"):
            yield "[server] bind: 'unix:' needs a path, such as unix:/run/gateway.sock"
        return
    host, colon, port = bind.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        yield f"[server] bind: {bind!r} is not HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080"


def _provider(where: str, provider: Provider) -> Iterator[str]:
    if provider.kind == "openai" and provider.base_url is None:
        yield f"{where} base_url: missing; for OpenAI itself it is https://api.openai.com/v1"
    if provider.kind == "demo" and provider.base_url is not None:
        yield f"{where} base_url: the demo provider is built in; remove base_url"
    if provider.base_url is not None:
        yield from _base_url(where, provider.base_url)
    if provider.api_key is not None and (wrong := _value(provider.api_key)):
        yield f"{where} api_key: {wrong}"
    if provider.ca_file is not None and not Path(provider.ca_file).is_file():
        yield f"{where} ca_file: there is no file {provider.ca_file!r}"
    for name, value in provider.headers.items():
        if not _HEADER_NAME.fullmatch(name):
            yield f"{where} headers.{name}: not a header name"
        elif name.lower() in _RESERVED_HEADERS:
            yield f"{where} headers.{name}: is set by the gateway; remove it"
        elif wrong := _value(value):
            yield f"{where} headers.{name}: {wrong}"


def _value(value: str) -> str | None:
    """Return what keeps `value` from being a header's."""
    if not _HEADER_VALUE.fullmatch(value):
        return "has a line break or a control character"
    if value != value.strip(" \t"):
        # No part of a value (RFC 9110 section 5.5), so the request could not be written.
        return "begins or ends with a blank; remove it"
    return None


def _base_url(where: str, url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
        host = parts.hostname
    except ValueError:
        port_is_fine, host = False, None
    if not port_is_fine or not host or parts.scheme not in ("http", "https"):
        # Not quoted: whoever puts a password into a URL may also mistype the rest.
        yield f"{where} base_url: not a URL such as https://api.openai.com/v1"
    elif parts.username is not None or parts.password is not None:
        yield f"{where} base_url: holds credentials; put them in api_key or headers"
    elif parts.query or parts.fragment:
        yield f"{where} base_url: has a query or fragment; give the path only"
    elif not url.isascii() or re.search(r"[\x00-\x20\x7f]", url):
        yield f"{where} base_url: has a space, a control or a non-ASCII character"
    elif parts.path.rstrip("/").endswith("/chat/completions"):
        yield f"{where} base_url: ends in /chat/completions; stop before it, as in .../v1"


def _models(config: Config, unread: Unread) -> Iterator[str]:
    names: dict[str, Model] = {}
    for model in config.models:
        where = f"[[models]] {model.name!r}"
        if model.name in names:
            yield f"{where} name: appears twice; give each model its own name"
        names[model.name] = model
        if (model.alias is None) == (not model.routes):
            yield f'{where}: needs either routes = [...] or alias = "...", and not both'
        for number, route in enumerate(model.routes):
            if route.provider not in config.providers.keys() | unread.providers:
                known = ", ".join(config.providers) or "none yet"
                yield (
                    f"{where} routes[{number}].provider: there is no [providers.{route.provider}]"
                    f"; known providers: {known}"
                )
        if model.routes and not any(route.weight > 0 for route in model.routes):
            yield f"{where} routes: every weight is 0; give at least one route a weight above 0"
    for model in names.values():
        yield from _alias(model, names, unread)


def _alias(model: Model, names: dict[str, Model], unread: Unread) -> Iterator[str]:
    seen = [model.name]
    while model.alias is not None:
        if model.alias not in names:
            # Reported once, by the model that holds the dangling name.
            if len(seen) == 1 and model.alias not in unread.models:
                known = ", ".join(names)
                yield (
                    f"[[models]] {model.name!r} alias: there is no model {model.alias!r}"
                    f"; known models: {known}"
                )
            return
        if model.alias in seen:
            if model.alias == seen[0]:
                loop = " -> ".join([*seen, model.alias])
                yield f"[[models]] {seen[0]!r} alias: loop {loop}; point one of them at routes"
            return
        seen.append(model.alias)
        model = names[model.alias]


def _tokens(config: Config, unread: Unread) -> Iterator[str]:
    names: set[str] = set()
    digests: set[bytes] = set()
    models = {model.name for model in config.models} | unread.models
    for token in config.tokens:
        where = f"[[tokens]] {token.name!r}"
        if token.name in names:
            yield f"{where} name: appears twice; give each token its own name"
        names.add(token.name)
        if token.key.startswith("sha256:") and not _HASHED.fullmatch(token.key):
            yield f"{where} key: sha256: must be followed by 64 hexadecimal digits"
        elif len(token.key) < 8 or not _HEADER_VALUE.fullmatch(token.key) or " " in token.key:
            yield f"{where} key: must have at least 8 characters and no spaces"
        else:
            # A key and its hash are the same key.
            digest = key_digest(token.key)
            if digest in digests:
                yield f"{where} key: belongs to another token too; each needs its own"
            digests.add(digest)
        for name in token.models:
            if name != "*" and name not in models:
                yield f'{where} models: there is no model {name!r}; use "*" for all'
