"""`gateway models PROVIDER`."""

from __future__ import annotations

import sys
from json import dumps as json_of

import msgspec

from ....config import load
from ....config.paths import config_path
from ....errors import ConfigError
from ....providers.presets.catalogue import unknown_preset
from ...options import ConfigFile, Flag
from ..check import report


def models(
    provider: str,
    /,
    *words: str,
    json: Flag = False,
    config: ConfigFile = None,
) -> int:
    """Ask a provider for its models, and print routes to paste into the configuration.

    It is a provider of the configuration, else a preset whose key is in the environment.

    Parameters
    ----------
    provider
        A name of the configuration's [providers], or of a preset.
    words
        Only models with each of these in their name.
    json
        Print the names alone, as a JSON array.
    """
    # Imported late: it brings Trio along.
    from ....process.catalogue.model_lists import ask_for_models

    try:
        file = config or config_path()
        table = load.provider(file, provider)
        if table is None:
            missing = f"{file} has no [providers.{provider}], and {unknown_preset(provider)}"
            raise ConfigError([missing])
        found = ask_for_models(provider, table)
    except ConfigError as exc:
        report(exc)
        return 1
    found = sorted(each for each in found if all(word.lower() in each.lower() for word in words))
    if json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return 0
    if not found:
        sys.stderr.write(f"error: {provider!r} has no model like that\n")
        return 1
    sys.stdout.write("\n".join(_as_toml(provider, each) for each in found))
    return 0


def _as_toml(provider: str, model: str) -> str:
    # A JSON string is a TOML one where nothing of it has to be printed as an escape.
    name, quoted = json_of(model, ensure_ascii=False), json_of(provider)
    return f"[[models]]\nname = {name}\nroutes = [{{ provider = {quoted}, model = {name} }}]\n"
