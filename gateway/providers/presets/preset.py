"""One provider or server as the catalogue has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """`table` is what it says for `[providers.NAME]`, `key` the variables that may hold its key.

    Of these the first that is set counts. `optional` says that it is also used without a key.
    `apis` are those that it has, by their usual names, and `facts` its names in the data of prices.
    """

    name: str
    title: str
    docs: str
    table: Mapping[str, Any]
    key: tuple[str, ...] = ()
    optional: bool = False
    apis: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    deprecated: str = ""
    limits: str = ""

    @property
    def kind(self) -> str:
        kind: str = self.table["kind"]
        return kind

    @property
    def base_url(self) -> str | None:
        url: str | None = self.table.get("base_url")
        return url

    def variable(self, environ: Mapping[str, str]) -> str | None:
        """Return the variable that holds its key, None if none does."""
        return next((name for name in self.key if environ.get(name)), None)


# What of a table of the catalogue is about the preset itself.
OWN: Final = frozenset(Preset.__struct_fields__) - {"name", "table"}


def read_preset(name: str, found: Mapping[str, Any]) -> Preset:
    """Return a table of the catalogue. Raises ValidationError and KeyError for a faulty one."""
    own = {key: value for key, value in found.items() if key in OWN}
    table = {key: value for key, value in found.items() if key not in OWN}
    return msgspec.convert({"name": name, "table": table, **own}, Preset)
