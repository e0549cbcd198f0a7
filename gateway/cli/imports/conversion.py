"""A whole file of LiteLLM's as one of ours, and what has no counterpart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...config import load
from ...errors import ConfigError
from .leftovers import Leftovers
from .models import Models
from .providers import Providers
from .settings import Settings
from .wording import key, toml
from .yaml_file import read_yaml


class _Anything(Mapping[str, str]):
    """An environment in which every variable is set: to what a key may be, and a URL, too."""

    def __getitem__(self, name: str) -> str:
        return f"http://{name.lower().replace('_', '-')}.invalid"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def convert(path: Path) -> tuple[str, list[str]]:
    """Return our configuration, and lines about what has no counterpart. Raises ConfigError."""
    tree = read_yaml(path)
    leftovers = Leftovers()
    providers = Providers(leftovers)
    models = Models(providers, leftovers)
    listed = tree.get("model_list") or []
    for entry in listed if isinstance(listed, list) else []:
        models.add(entry)
    settings = Settings(tree, models, leftovers)
    settings.convert()
    if not models.tables:
        raise ConfigError([f"{path}: has no model that could be served here", *leftovers.lines()])
    lines = leftovers.lines()
    text = "\n".join(_text(path.name, lines, settings, providers.tables, models.tables)) + "\n"
    load.parse(text, "the result", _Anything(), on_disk=False)
    return text, lines


def _text(
    name: str,
    lines: list[str],
    settings: Settings,
    providers: Mapping[str, dict[str, Any]],
    models: Mapping[str, dict[str, Any]],
) -> Iterator[str]:
    yield f"# Made of {_commented(name)} by `gateway import litellm`."
    yield "# Every key that there is: `gateway init` in another folder."
    if lines:
        yield "# What has no counterpart, or is to be looked at:"
        yield from (f"#   {_commented(line)}" for line in lines)
    for table, members in settings.tables.items():
        yield from ("", f"[{table}]", *_members(members))
    for provider, members in providers.items():
        yield from ("", f"[providers.{key(provider)}]", *_members(members))
    for members in models.values():
        yield from ("", "[[models]]")
        for member, value in members.items():
            if member == "routes":
                yield from ("routes = [", *(f"  {toml(route)}," for route in value), "]")
            else:
                yield f"{key(member)} = {toml(value)}"
    for members in settings.tokens:
        yield from ("", "[[tokens]]", *_members(members))


def _members(table: Mapping[str, Any]) -> Iterator[str]:
    return (f"{key(name)} = {toml(value)}" for name, value in table.items())


def _commented(line: str) -> str:
    """Return a line as it may stand in a comment: without control characters."""
    return "".join(each if each.isprintable() else " " for each in line)
