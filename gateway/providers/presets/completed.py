"""A table `[providers.NAME]` of the configuration, completed by its preset.

The preset is the one that `preset` names, else the one with the name of the table: unless the table
says both where its servers are and what kind they are of. Then it is complete by itself, and a key
of the environment must not go to servers of which the preset knows nothing. `preset = ""` is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .catalogue import presets, unknown_preset
from .preset import Preset

PRESET: Final = "preset"
# Tables whose keys are completed one by one.
_DEEP: Final = frozenset({"capabilities", "quirks", "timeouts", "headers", "probe"})
# Any of these says how the provider is to know us, so that no key is looked for.
_SHOWN: Final = ("api_key", "api_keys", "oauth", "access_key_id")
_SHOWING: Final = frozenset({"authorization", "x-api-key", "api-key"})


class UnknownPreset(Exception):
    """`preset` names none; the message is a sentence that ends with a cure."""


def completed(name: str, given: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the table `[providers.NAME]`, completed, as if it stood so in the file.

    References to the environment are left as they are. Raises UnknownPreset.
    """
    preset = preset_of(name, given)
    if preset is None:
        return dict(given)
    found = _joined(preset.table, given)
    found[PRESET] = preset.name
    if preset.key and not _is_known(given):
        variable = preset.variable(environ)
        if variable is not None or not preset.optional:
            found["api_key"] = f"${{{variable or preset.key[0]}}}"
    return found


def preset_of(name: str, given: Mapping[str, Any]) -> Preset | None:
    """Return the preset of a table, None if it has none. Raises UnknownPreset."""
    known = presets()
    named = given.get(PRESET)
    if named is not None:
        if named == "" or not isinstance(named, str):
            # What is no text is a fault that its reader points at.
            return None
        if named not in known:
            raise UnknownPreset(unknown_preset(named))
        return known[named]
    preset = known.get(name)
    if preset is None or ("kind" in given and "base_url" in given):
        return None
    return preset if given.get("kind", preset.kind) == preset.kind else None


def _is_known(given: Mapping[str, Any]) -> bool:
    headers = given.get("headers")
    names = {name.lower() for name in headers} if isinstance(headers, dict) else set()
    return any(key in given for key in _SHOWN) or not names.isdisjoint(_SHOWING)


def _joined(preset: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    found = {**preset, **given}
    for key in _DEEP & preset.keys() & given.keys():
        if isinstance(given[key], dict):
            found[key] = {**preset[key], **given[key]}
    return found
