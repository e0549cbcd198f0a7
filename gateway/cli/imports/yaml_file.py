"""A file of LiteLLM's, with those that it includes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from ...errors import ConfigError

_INCLUDE: Final = "include"
_MOST_FILES: Final = 100


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the members of the file; lists of included files are added to. Raises ConfigError."""
    tree = _one(path)
    waiting = _listed(tree.pop(_INCLUDE, []))
    read = 1
    while waiting:
        if (read := read + 1) > _MOST_FILES:
            raise ConfigError([f"{path}: includes more than {_MOST_FILES} files"])
        other = _one(path.parent / waiting.pop(0))
        waiting += _listed(other.pop(_INCLUDE, []))
        for name, value in other.items():
            if isinstance(value, list) and isinstance(tree.get(name), list):
                tree[name] = [*tree[name], *value]
            elif isinstance(value, dict) and isinstance(tree.get(name), dict):
                tree[name] = {**tree[name], **value}
            else:
                tree[name] = value
    return tree


def _one(path: Path) -> dict[str, Any]:
    # Imported late: only this command needs it.
    import yaml  # type: ignore[import-untyped]

    try:
        found = yaml.safe_load(path.read_bytes())
    except OSError as exc:
        raise ConfigError([f"{path}: cannot be read: {exc.strerror}"]) from exc
    except (yaml.YAMLError, RecursionError, ValueError) as exc:
        where = " ".join(str(exc).split())[:300]
        raise ConfigError([f"{path}: not valid YAML: {where}"]) from exc
    if not isinstance(found, dict):
        raise ConfigError([f"{path}: holds no tables such as model_list"])
    return {str(name): value for name, value in found.items()}


def _listed(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]
