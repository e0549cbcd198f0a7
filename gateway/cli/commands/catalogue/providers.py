"""`gateway providers`."""

from __future__ import annotations

import os
import sys

from ....providers.presets.catalogue import near_names, presets
from ....providers.presets.listing import ListedPreset, listed, markdown, matches
from ...options import Flag
from ...output.columns import print_columns, print_json


def providers(
    *words: str,
    key: Flag = False,
    deprecated: Flag = False,
    json: Flag = False,
    markdown_: Flag = False,
) -> int:
    """List the providers and servers that are known by a preset.

    A table [providers.NAME] of the configuration takes the preset of that name.

    Parameters
    ----------
    words
        Only those with each of these in their name, kind, address, APIs or variables.
    key
        Only those whose key is in the environment, or that need none.
    deprecated
        Also those that are deprecated.
    json
        Print all that is known, as a JSON array.
    markdown_
        Print docs/providers.md.
    """
    known = presets()
    if markdown_:
        sys.stdout.write(markdown(known.values()))
        return 0
    found = [listed(each, os.environ) for each in known.values() if matches(each, words)]
    if not (deprecated or json or words):
        found = [each for each in found if not each.deprecated]
    if key:
        found = [each for each in found if each.key_set or each.key_optional]
    if json:
        print_json(found)
        return 0
    if not found:
        near = near_names("".join(words))
        hint = f"; did you mean {' or '.join(near)}?" if near and not key else ""
        sys.stderr.write(f"no preset is like that{hint}\n")
        return 1
    print_columns([("PRESET", "KIND", "KEY", "APIS", ""), *map(_row, found)])
    return 0


def _row(preset: ListedPreset) -> tuple[str, ...]:
    if preset.key_set is not None:
        key = f"{preset.key_set} (set)"
    else:
        key = preset.key[0] if preset.key else ""
        key += " (optional)" if preset.key_optional and key else ""
    note = f"deprecated: {preset.deprecated}" if preset.deprecated else preset.title
    return (preset.name, preset.kind, key, " ".join(preset.apis), note)
