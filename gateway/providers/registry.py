"""The kinds of providers by their names in the configuration."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final

from . import kinds
from .kind import ProviderKind


def _found() -> dict[str, ProviderKind]:
    """Return the kind of every module of `kinds/`, so that a new one is one new file."""
    found: dict[str, ProviderKind] = {}
    for module in sorted(pkgutil.iter_modules(kinds.__path__), key=lambda each: each.name):
        kind: ProviderKind = import_module(f"{kinds.__name__}.{module.name}").KIND
        if kind.name in found:
            raise TypeError(f"two modules of {kinds.__name__} have the kind {kind.name!r}")
        found[kind.name] = kind
    return found


KINDS: Final[Mapping[str, ProviderKind]] = MappingProxyType(_found())
