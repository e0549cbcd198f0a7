"""What people new to the gateway get wrong in a file that is valid.

References in another tool's spelling, keys and extras that are missing. Sentences like those of
`advice`, of which this is a part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any, Final
from urllib.parse import urlsplit

from ...core.sign_in import is_loopback
from ...installation import how_to_add
from ...providers.settings import Provider
from ..schema import Config

# How shells, LiteLLM, Windows, GitHub Actions and templates write a variable. The whole of a value.
_REFERENCE: Final = re.compile(
    r"\$(?P<shell>[A-Za-z_]\w*)|os\.environ/(?P<path>\w+)|%(?P<percent>[A-Za-z_]\w*)%"
    r"|\{\{\s*(?:secrets\.|env\.)?(?P<braces>[A-Za-z_]\w*)\s*\}\}|env:(?P<env>[A-Za-z_]\w*)"
    r"|\$\((?P<call>[A-Za-z_]\w*)\)|\{(?P<brace>[A-Z_][A-Z0-9_]*)\}",
    re.ASCII,
)
# openai-python and anthropic-sdk-python, `_constants.py`: DEFAULT_TIMEOUT, of the whole request.
_CLIENT_TIMEOUT: Final = 600.0
# Module, extra, and the setting that needs it.
_OTLP: Final = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


def oversights(config: Config) -> Iterator[str]:
    yield from _references(config)
    yield from _extras(config)
    for name, provider in config.providers.items():
        if _has_no_key(provider):
            yield f"[providers.{name}]: has no key; give it an api_key, api_keys or oauth"
    yield from _patience(config)
    known = {token.name for token in config.tokens}
    for name in config.debug_log.tokens:
        if name not in known:
            yield (
                f"[debug_log] tokens: there is no token {name!r} in the files; unless it is a key"
                " of the database, nothing is kept for it"
            )


def of_tree(tree: Mapping[str, Any]) -> Iterator[str]:
    """Yield what only the file itself shows: in a `Config`, empty and absent are the same."""
    providers = tree.get("providers")
    for name, table in providers.items() if isinstance(providers, dict) else ():
        if isinstance(table, dict) and table.get("api_keys") == []:
            yield f"[providers.{name}] api_keys: is empty, so calls go without a key; name some"


def _references(config: Config) -> Iterator[str]:
    """Yield where a value looks like a variable's name, and is taken as it stands."""
    for where, value in _secrets(config):
        if found := _REFERENCE.fullmatch(value.strip()):
            name = next(filter(None, found.groups()))
            yield f'{where}: is taken as it stands, and is no reference; write "${{{name}}}"'


def _secrets(config: Config) -> Iterator[tuple[str, str]]:
    for name, provider in config.providers.items():
        where = f"[providers.{name}]"
        yield f"{where} api_key", provider.api_key or ""
        for number, key in enumerate(provider.api_keys):
            yield f"{where} api_keys[{number}]", key
        for header, value in provider.headers.items():
            yield f"{where} headers.{header}", value.removeprefix("Bearer ")
        yield f"{where} base_url", provider.base_url or ""
        if provider.oauth is not None:
            yield f"{where} oauth.client_id", provider.oauth.client_id
            yield f"{where} oauth.client_secret", provider.oauth.client_secret
    for token in config.tokens:
        yield f"[[tokens]] {token.name!r} key", token.key
    for admin in config.admins:
        yield f"[[admins]] {admin.name!r} key", admin.key
    if config.admin.oidc is not None:
        yield "[admin.oidc] client_secret", config.admin.oidc.client_secret
    if config.server.aws_secret:
        yield "[server] aws_secret", config.server.aws_secret
    yield "[state] url", config.state.url
    yield "[state] password", config.state.password
    for header, value in config.tracing.headers.items():
        yield f"[tracing] headers.{header}", value


def _extras(config: Config) -> Iterator[str]:
    if config.store.url.startswith("postgres") and not _is_there("psycopg"):
        yield f"[store] url: PostgreSQL needs a driver; {how_to_add('postgres')}"
    if config.state.url and not _is_there("coredis"):
        yield f"[state] url: Valkey and Redis need a client; {how_to_add('redis')}"
    if config.tracing.endpoint and not _is_there(_OTLP):
        yield f"[tracing] endpoint: needs OpenTelemetry; {how_to_add('otel')}"


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _has_no_key(provider: Provider) -> bool:
    """Say whether calls that leave this network go without a key."""
    if provider.api_key or provider.api_keys or provider.token_source is not None:
        return False
    # Whatever shows a key is in some header.
    if provider.headers or provider.base_url is None:
        return False
    url = urlsplit(provider.base_url)
    return url.scheme == "https" and not is_loopback(url.hostname or "")


def _patience(config: Config) -> Iterator[str]:
    told = [("[timeouts] first_event", config.timeouts.first_event)]
    for name, provider in config.providers.items():
        told.append(
            (f"[providers.{name}] timeouts.first_event", provider.timeouts.first_event or 0)
        )
    for model in config.models:
        for number, route in enumerate(model.routes):
            where = f"[[models]] {model.name!r} routes[{number}].timeouts.first_event"
            told.append((where, route.timeouts.first_event or 0))
    for where, seconds in told:
        if seconds >= _CLIENT_TIMEOUT:
            yield (
                f"{where}: clients have given up by then: the usual SDKs wait"
                f" {_CLIENT_TIMEOUT:g} s for the whole answer, so no other route would be tried"
            )
