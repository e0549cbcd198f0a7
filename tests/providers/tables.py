"""Tables `[providers.NAME]`, read as those of a file are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import tomli_w

from gateway.config.load import parse
from gateway.providers.settings import Provider

_REST: Final = (
    '[providers.builtin]\nkind = "demo"\n'
    '[[models]]\nname = "m"\nroutes = [{ provider = "builtin", model = "d" }]\n'
)


def provider_of(name: str, table: Mapping[str, Any], environ: Mapping[str, str]) -> Provider:
    """Return the provider of the table. Raises ConfigError."""
    text = tomli_w.dumps({"providers": {name: table}}) or f"[providers.{name}]\n"
    return parse(text + _REST, "c.toml", environ).providers[name]
