"""The catalogue: all presets by their names."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from .preset import Preset, read_preset

FILE: Final = Path(__file__).parents[1] / "catalog.toml"
_NEAR: Final = 3


@cache
def presets() -> Mapping[str, Preset]:
    """Return the presets. The file is read when they are first asked for: few commands need it."""
    found = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return MappingProxyType({name: read_preset(name, table) for name, table in found.items()})


@cache
def refused_at(host: str) -> frozenset[str]:
    """Return the members of a body that a vendor refuses whose presets are at `host`."""
    return frozenset(
        member
        for preset in presets().values()
        if urlsplit(preset.base_url or "").hostname == host
        for member in preset.table.get("quirks", {}).get("refuses", ())
    )


def near_names(name: str) -> list[str]:
    """Return the presets that may have been meant by `name`, which is none of them."""
    import difflib

    known = presets()
    plain = {_plain(each): each for each in known}
    close = difflib.get_close_matches(_plain(name), plain, n=_NEAR, cutoff=0.7)
    within = [each for each in known if _plain(name) and _plain(each).startswith(_plain(name))]
    return list(dict.fromkeys([*(plain[each] for each in close), *within]))[:_NEAR]


def unknown_preset(name: str) -> str:
    """Return a sentence about a preset that there is not."""
    near = near_names(name)
    meant = f"did you mean {' or '.join(map(repr, near))}?" if near else "`gateway providers` lists"
    return f"there is no such preset; {meant}{'' if near else ' them'}"


def _plain(name: str) -> str:
    """Return what is the same in `together`, `Together-AI` and `together_ai`."""
    plain = "".join(each for each in name.lower() if each.isalnum())
    return plain.removesuffix("ai") if len(plain) > len("ai") + 2 else plain
