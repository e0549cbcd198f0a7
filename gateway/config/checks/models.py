"""What holds between models: names, aliases, fallbacks, and the routes of each.

Problems are sentences like those of `cross_check.py`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

from ..catalog import Names
from ..schema import Model

# To be matched in full. The name is one of a header (RFC 9110 section 5.6.2).
_STICKY: Final = re.compile(r"user|token|header:[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_PLAIN: Final = Model(name="plain")
# An alias takes everything else from the model that it points to.
_OF_AN_ALIAS: Final = {"name", "alias", "routes"}


def check_models(
    models: Collection[Model], names: Names, providers: Collection[str], known: str
) -> Iterator[str]:
    """Yield what is wrong with `models`.

    `names` and `providers` include those whose tables could not be read; `known` lists the
    providers as a message names them.
    """
    seen: set[str] = set()
    for model in models:
        where = f"[[models]] {model.name!r}"
        if model.name in seen:
            yield f"{where} name: appears twice; give each model its own name"
        seen.add(model.name)
        if (model.alias is None) == (not model.routes):
            yield f'{where}: needs either routes = [...] or alias = "...", and not both'
        yield from _stars(where, model)
        for number, route in enumerate(model.routes):
            if route.provider not in providers:
                yield (
                    f"{where} routes[{number}].provider: there is no [providers.{route.provider}]"
                    f"; known providers: {known}"
                )
        if model.routes and not any(route.weight > 0 for route in model.routes):
            yield f"{where} routes: every weight is 0; give at least one route a weight above 0"
        yield from _options(where, model)
    # Of two models with one name the last counts.
    for model in {model.name: model for model in models}.values():
        yield from _alias(model, names)
        if model.alias is None:
            yield from _fallbacks(model, names)


def _stars(where: str, model: Model) -> Iterator[str]:
    if "*" in model.name[:-1]:
        yield f"{where} name: has a * that is not its only one and at its end, as in team/*"
        return
    said = {f"routes[{number}].model": route.model for number, route in enumerate(model.routes)}
    said |= {f"fallbacks[{number}]": name for number, name in enumerate(model.fallbacks)}
    if model.alias is not None:
        said["alias"] = model.alias
    for key, text in said.items():
        if "*" in text[:-1]:
            yield f"{where} {key}: has a * that is not its only one and at its end, as in team/*"
        elif text.endswith("*") and not model.name.endswith("*"):
            yield (
                f"{where} {key}: ends in *, which stands for the rest of a name that ends in * "
                f"itself; {model.name!r} does not, so give a full name"
            )


def _options(where: str, model: Model) -> Iterator[str]:
    if model.alias is not None:
        for key in _PLAIN.__struct_fields__:
            if key not in _OF_AN_ALIAS and getattr(model, key) != getattr(_PLAIN, key):
                yield f"{where} {key}: an alias has none of its own; set it at {model.alias!r}"
        return
    if model.fallback_on and not model.fallbacks:
        yield f"{where} fallback_on: has no effect without fallbacks; add some or remove it"
    for number, source in enumerate(model.sticky_by):
        if not _STICKY.fullmatch(source):
            yield (
                f'{where} sticky_by[{number}]: expected "header:NAME", "user" or "token", '
                f"got {source!r}"
            )
    if model.strategy == "sticky" and not model.sticky_by:
        yield f'{where} sticky_by: is empty; name what to stick to, such as ["user", "token"]'
    if model.strategy != "sticky" and model.sticky_by != _PLAIN.sticky_by:
        yield f'{where} sticky_by: has no effect without strategy = "sticky"; add it or remove this'


def _alias(model: Model, names: Names) -> Iterator[str]:
    where = f"[[models]] {model.name!r} alias"
    if model.alias is None:
        return
    if names.match(model.alias) is None:
        # Reported once, by the model that holds the dangling name.
        yield f"{where}: there is no model {model.alias!r}; known models: {_known(names)}"
    elif (loop := _loop(model, names)) is not None:
        yield f"{where}: loop {' -> '.join(loop)}; point one of them at routes"


def _loop(start: Model, names: Names) -> list[str] | None:
    """Return the names on a way from `start` to itself; None if there is none."""
    ways = [[start]]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        for step in _led_to(way[-1], names):
            if step.name == start.name:
                return [*(model.name for model in way), step.name]
            if step.name not in seen:
                seen.add(step.name)
                ways.append([*way, step])
    return None


def _led_to(model: Model, names: Names) -> Iterator[Model]:
    """Yield every model that the alias of `model` may lead to, for any value of its `*`."""
    alias = model.alias
    if alias is None:
        return
    if (found := names.match(alias)) is not None:
        yield found.model
    if alias.endswith("*"):
        beginning = alias[:-1]
        for other in (*names.exact.values(), *names.families.values()):
            # The alias itself, as a name, has been matched above.
            if other.name.startswith(beginning) and other.name not in (alias, beginning):
                yield other


def _fallbacks(model: Model, names: Names) -> Iterator[str]:
    seen = {model.name: "itself"}
    for number, name in enumerate(model.fallbacks):
        where = f"[[models]] {model.name!r} fallbacks[{number}]"
        steps = list(names.follow(name))
        if not steps:
            yield f"{where}: there is no model {name!r}; known models: {_known(names)}"
            continue
        # A member of a family is another model than the family, and may be the family's fallback.
        target = steps[-1].fill(steps[-1].model.name)
        if target in seen:
            yield f"{where}: {name!r} is {seen[target]}; name other models, each once"
        seen.setdefault(target, f"fallbacks[{number}] again")


def _known(names: Names) -> str:
    return ", ".join((*names.exact, *names.families))
