"""What holds of the tables that say what is kept of requests, and where it goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from ...core.capture.json_path import parse_path
from ...core.capture.redaction import is_credential
from ..catalog import Names
from ..header_syntax import HEADER_NAME, HEADER_VALUE
from ..schema import Config, DebugLog, Log, Store, TracingConfig

_LEAST_KEY: Final = 16
_STORES: Final = ("sqlite", "postgresql", "postgresql+psycopg", "postgres")


def check_records(config: Config, names: Names, unread: bool) -> Iterator[str]:
    """Yield what is wrong; `unread` says that not all models and tokens could be read."""
    yield from _log(config.log)
    yield from _store(config.store)
    yield from _debug_log(config, config.debug_log, names, unread)
    yield from _tracing(config.tracing)


def _log(log: Log) -> Iterator[str]:
    for key in ("session_headers", "metadata_headers"):
        for name in getattr(log, key):
            if not HEADER_NAME.fullmatch(name):
                yield f"[log] {key}: {name!r} is not a header name"
            elif is_credential(name):
                yield f"[log] {key}: {name!r} holds a secret, which no record keeps; remove it"
    if log.minimising.hashes and len(log.hash_key) < _LEAST_KEY:
        yield (
            f"[log] hash_key: must have at least {_LEAST_KEY} characters where something is kept as"
            " a hash; write it as ${NAME}, and keep it: with another one hashes are other ones"
        )


def _store(store: Store) -> Iterator[str]:
    if store.url and not _is_store(store.url):
        # Not quoted: there may be a password in it.
        yield (
            "[store] url: is not sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME; "
            '"" keeps no records'
        )


def _is_store(url: str) -> bool:
    scheme, colon, rest = url.partition("://")
    if not colon or scheme not in _STORES:
        return False
    if scheme == "sqlite":
        # Two slashes are before a host, which no file has.
        return rest.startswith("/") and rest not in ("/", "/:memory:") and "?" not in rest
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _debug_log(config: Config, debug_log: DebugLog, names: Names, unread: bool) -> Iterator[str]:
    for number, text in enumerate(debug_log.redact):
        try:
            parse_path(text)
        except ValueError as exc:
            yield f"[debug_log] redact[{number}]: {exc}"
    if unread:
        return
    for name in debug_log.models:
        if name != "*" and names.match(name) is None:
            yield f"[debug_log] models: there is no model {name!r}"


def _tracing(tracing: TracingConfig) -> Iterator[str]:
    if tracing.endpoint:
        try:
            parts = urlsplit(tracing.endpoint)
            fine = parts.scheme in ("http", "https") and bool(parts.hostname)
            fine = fine and (parts.port is None or parts.port > 0)
        except ValueError:
            fine = False
        if not fine:
            yield "[tracing] endpoint: not a URL such as http://localhost:4318/v1/traces"
    for name, value in tracing.headers.items():
        if not HEADER_NAME.fullmatch(name):
            yield f"[tracing] headers.{name}: not a header name"
        elif not HEADER_VALUE.fullmatch(value):
            yield f"[tracing] headers.{name}: has a line break or a control character"
