"""The templates: Jinja's, with everything escaped that is put into them.

They may use no value that is not there: a misspelt name is an error and no blank.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final

import msgspec
from jinja2 import Environment, FunctionLoader, StrictUndefined

from .. import __version__
from . import formats, links
from .assets import Assets

_NAV: Final = (
    ("overview", "", "Overview", "g o"),
    ("requests", "requests", "Requests", "g r"),
    ("sessions", "sessions", "Sessions", "g s"),
    ("models", "models", "Models", "g m"),
    ("key", "keys", "Keys & teams", "g k"),
    ("usage", "usage", "Usage & cost", "g u"),
    ("audit", "audit", "Audit log", "g a"),
    ("debug", "debug", "Debug log", "g d"),
    ("playground", "playground", "Playground", "g p"),
    ("settings", "settings", "Settings", "g ,"),
)


class Templates:
    """Renders pages; safe for several threads."""

    def __init__(self, assets: Assets) -> None:
        folder = self._folder = files(__package__) / "templates"
        self._environment = Environment(
            loader=FunctionLoader(lambda name: (folder / name).read_text("utf-8")),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {
            "asset": assets.url,
            "nav": _NAV,
            "to": links.to,
            "to_item": links.to_item,
            "version": __version__,
        }
        self._environment.filters |= {
            "number": formats.number,
            "compact": formats.compact,
            "money": formats.money,
            "exact_money": formats.exact_money,
            "rate": formats.rate,
            "duration": formats.duration,
            "span": formats.span,
            "percent": formats.percent,
            "size": formats.size,
            "moment": formats.moment,
            "iso": formats.iso,
            "pretty": formats.pretty,
            "json_text": _json_text,
            "settings_text": _settings_text,
        }

    def prepare(self) -> None:
        """Compile all templates, which takes some tenths of a second; else each is when needed."""
        for name in _names(self._folder, ""):
            self._environment.get_template(name)

    def render(self, template: str, context: Mapping[str, Any]) -> bytes:
        return self._environment.get_template(template).render(context).encode()

    def render_all(
        self, templates: Mapping[str, str], context: Mapping[str, Any]
    ) -> dict[str, bytes]:
        """Return what each template shows of `context`, by the names that they are given."""
        return {name: self.render(each, context) for name, each in templates.items()}


def _names(folder: Traversable, prefix: str) -> Iterator[str]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _names(each, f"{prefix}{each.name}/")
        else:
            yield prefix + each.name


def _json_text(value: object) -> str:
    """Return JSON for an attribute, which the template escapes like any other text."""
    return msgspec.json.encode(value).decode()


def _settings_text(value: object) -> str:
    """Return the value of a setting as JSON, without the members that say nothing."""
    return _json_text(_said(value))


def _said(value: object) -> object:
    if isinstance(value, dict):
        found = {name: _said(each) for name, each in value.items()}
        return {name: each for name, each in found.items() if each not in (None, {}, [])}
    return [_said(each) for each in value] if isinstance(value, list) else value
