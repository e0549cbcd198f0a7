"""The running configuration as it can be shown: without keys, passwords and tokens."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from ...config.schema import Config

MASKED: Final = "[hidden]"
# Each is shown by itself: there may be a hundred thousand.
_LISTS: Final = ("providers", "models", "teams", "tokens", "admins")
# What may stand in a header or in the query of an address is not known, so all of it is hidden.
_HIDDEN: Final = re.compile(r"key|secret|password|token|headers", re.IGNORECASE)
# Names of things that are no secrets, though they sound like it.
_PLAIN: Final = {"debug_log.tokens", "log.session_headers", "log.metadata_headers",
                 "server.request_id_header", "cors.allow_headers", "cors.expose_headers",
                 "server.keep_alive_timeout", "server.keep_alive_comment"}  # fmt: skip
_LOGIN: Final = re.compile(r"//[^/@\s]*@")
_QUERY: Final = re.compile(r"\?.*")


def masked_tables(config: Config) -> dict[str, dict[str, str]]:
    """Return each table's settings as TOML would write them, without the lists of things."""
    found: dict[str, dict[str, str]] = {}
    for name in config.__struct_fields__:
        if name in _LISTS:
            continue
        table = msgspec.to_builtins(getattr(config, name))
        found[name] = {key: shown(f"{name}.{key}", value) for key, value in table.items()}
    return found


def shown(path: str, value: Any) -> str:
    """Return a value as text, with what may be a secret hidden, at any depth."""
    return msgspec.json.encode(_masked(path, value)).decode()


def _masked(path: str, value: Any) -> Any:
    hidden = path not in _PLAIN and _HIDDEN.search(path)
    if hidden and value and not isinstance(value, bool | int | float):
        return MASKED
    if isinstance(value, dict):
        return {key: _masked(f"{path}.{key}", each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(path, each) for each in value]
    return without_login(value) if isinstance(value, str) else value


def without_login(address: str) -> str:
    """Return an address without a name, a password or what follows a question mark."""
    return _QUERY.sub(f"?{MASKED}", _LOGIN.sub(f"//{MASKED}@", address))
