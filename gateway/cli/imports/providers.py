"""`litellm_params` to tables of providers: what differs in nothing but the model is one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from ...providers.litellm_names import ANY_SERVER, ORGANIZATION, PREFIXES, base_url, split_name
from .leftovers import Leftovers
from .wording import is_reference, stands_for_none, text

_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+")
_WORD: Final = re.compile(r"[^A-Za-z0-9]+")


class Providers:
    """`tables` are what stands in `[providers.NAME]`, by name."""

    def __init__(self, leftovers: Leftovers) -> None:
        self.tables: dict[str, dict[str, Any]] = {}
        self._names: dict[str, str] = {}
        # The keys that stand in the file, by the variables that are to have them.
        self._variables: dict[str, str] = {}
        self._leftovers = leftovers

    def __repr__(self) -> str:
        return f"<Providers {[*self.tables]}>"

    def add(self, params: Mapping[str, Any], where: str) -> tuple[str, str] | None:
        """Return the provider of a deployment, and its model there; None if it has none here."""
        model = str(params.get("model", ""))
        prefix, name = split_name(model, params.get("custom_llm_provider"))
        given = params.get("api_base") or params.get("base_url")
        if prefix is None and given:
            # An address says enough: most servers speak the one API.
            prefix = ANY_SERVER
            self._leftovers.note("a provider that is not known is taken for a server with the "
                                 "usual API: check its base_url", where)  # fmt: skip
        if prefix not in PREFIXES or not name:
            what = f"{prefix or model.partition('/')[0] or 'no model'}: there is no such provider"
            self._leftovers.note(f"{what} here, so its routes are left out", where)
            return None
        url = base_url(prefix, None if given is None else text(given))
        if url is None:
            self._leftovers.note(f"{prefix}: no api_base, so its routes are left out", where)
            return None
        table: dict[str, Any] = {"kind": PREFIXES[prefix].kind, "base_url": url}
        table |= self._key(params, prefix, given is not None, where)
        if headers := self._headers(params):
            table["headers"] = headers
        return self._named(prefix, table), name

    def _key(
        self, params: Mapping[str, Any], prefix: str, elsewhere: bool, where: str
    ) -> dict[str, Any]:
        variable = PREFIXES[prefix].variable
        given = params.get("api_key")
        if given is None:
            # Its own variable is the key of its own address only, unless there is no such.
            own = variable and (not elsewhere or PREFIXES[prefix].base_url is None)
            return {"api_key": f"${{{variable}}}"} if own else {}
        key = text(given)
        if is_reference(key):
            return {"api_key": key}
        if stands_for_none(key):
            return {}
        # A secret is not copied from file to file, and none goes to another server than its own.
        name = self._variable(key, params, prefix, elsewhere)
        self._leftovers.note(f"a key stands in the file; put it into {name} instead", where)
        return {"api_key": f"${{{name}}}"}

    def _variable(self, key: str, params: Mapping[str, Any], prefix: str, elsewhere: bool) -> str:
        """Return the variable for a key that stands in the file: the same for the same key."""
        host = urlsplit(str(params.get("api_base") or params.get("base_url") or "")).hostname
        base = PREFIXES[prefix].variable
        if base is None or (elsewhere and PREFIXES[prefix].base_url is not None):
            base = f"{_WORD.sub('_', host or prefix).strip('_').upper()}_API_KEY"
            base = base if base[0].isalpha() else f"HOST_{base}"
        name, count = base, 1
        while self._variables.setdefault(name, key) != key:
            count += 1
            name = f"{base}_{count}"
        return name

    @staticmethod
    def _headers(params: Mapping[str, Any]) -> dict[str, str]:
        found = {**(params.get("headers") or {}), **(params.get("extra_headers") or {})}
        if params.get("organization"):
            found[ORGANIZATION] = params["organization"]
        return {str(name): text(value) for name, value in found.items()}

    def _named(self, prefix: str, table: dict[str, Any]) -> str:
        same = json.dumps(table, sort_keys=True)
        if same in self._names:
            return self._names[same]
        base = name = _NAME.sub("-", prefix).replace("_", "-")
        count = 1
        while name in self.tables:
            count += 1
            name = f"{base}-{count}"
        self._names[same] = name
        self.tables[name] = table
        return name
