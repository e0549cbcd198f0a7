"""Addresses of pages with their parameters: filters stay in them, so that they can be shared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode

from ..core.admin_path import outside

ROOT: Final = "/admin/"


def to(page: str, **params: object) -> str:
    """Return the address of a page, such as `requests`; parameters without a value are left out."""
    return with_params(outside(ROOT + page), {}, **params)


def to_item(page: str, name: str) -> str:
    """Return the address of one thing of a page; `name` may hold any character."""
    return outside(f"{ROOT}{page}/{quote(name, safe='')}")


def with_params(path: str, params: Mapping[str, Sequence[str]], **changes: object) -> str:
    """Return `path` with `params`, of which `changes` replace some; None takes one out."""
    found = {name: list(values) for name, values in params.items()}
    for name, value in changes.items():
        if isinstance(value, list | tuple):
            found[name] = [str(each) for each in value]
        else:
            found[name] = [] if value is None else [str(value)]
    pairs = [(name, each) for name, values in found.items() for each in values if each]
    return f"{path}?{urlencode(pairs)}" if pairs else path


class PageAddress(NamedTuple):
    """The address of a page that is shown: called, with other parameters, from its first row."""

    path: str
    params: Mapping[str, Sequence[str]]

    def __call__(self, **changes: object) -> str:
        return with_params(self.path, self.params, **{"cursor": None} | changes)


def inside(target: str) -> str:
    """Return `target` if it is a page of ours, else the first page.

    What follows a sign-in comes from the address, so anybody may have written it.
    """
    root = outside(ROOT)
    safe = target.startswith(root) and not target.startswith(f"{root}/") and "\\" not in target
    return target if safe and target.isascii() and target.isprintable() else root
