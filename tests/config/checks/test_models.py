from __future__ import annotations

from typing import Any

import pytest

from gateway.config.catalog import Names
from gateway.config.checks.models import check_models
from gateway.config.schema import Model, Route
from gateway.core.cache.answers import ModelCache
from gateway.core.routing.attempts import RetryOverrides
from gateway.core.routing.hedging import HedgePolicy

ROUTE = Route(provider="demo", model="d")
MODEL = Model(name="m", routes=(ROUTE,))


def problems(*models: Model) -> list[str]:
    return list(check_models(models, Names(models), {"demo"}, "demo"))


def model(name: str, to: str = "d", **fields: Any) -> Model:
    return Model(name=name, routes=(Route(provider="demo", model=to),), **fields)


def alias(name: str, target: str) -> Model:
    return Model(name=name, alias=target)


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ((), []),
        ((MODEL, alias("a", "m"), alias("b", "a")), []),
        ((MODEL, MODEL), ["[[models]] 'm' name: appears twice; give each model its own name"]),
        (
            (Model(name="m"),),
            ["[[models]] 'm': needs either routes = [...] or alias = \"...\", and not both"],
        ),
        (
            (MODEL, Model(name="a", routes=(ROUTE,), alias="m")),
            ["[[models]] 'a': needs either routes = [...] or alias = \"...\", and not both"],
        ),
        (
            (Model(name="m", routes=(ROUTE, Route(provider="dmeo", model="x"))),),
            [
                "[[models]] 'm' routes[1].provider: there is no [providers.dmeo]"
                "; known providers: demo"
            ],
        ),
        (
            (Model(name="m", routes=(Route(provider="demo", model="x", weight=0),)),),
            ["[[models]] 'm' routes: every weight is 0; give at least one route a weight above 0"],
        ),
        (
            (MODEL, alias("a", "x"), alias("b", "a")),
            ["[[models]] 'a' alias: there is no model 'x'; known models: m, a, b"],
        ),
        ((alias("a", "a"),), ["[[models]] 'a' alias: loop a -> a; point one of them at routes"]),
        (
            (alias("a", "b"), alias("b", "c"), alias("c", "b"), MODEL),
            [
                "[[models]] 'b' alias: loop b -> c -> b; point one of them at routes",
                "[[models]] 'c' alias: loop c -> b -> c; point one of them at routes",
            ],
        ),
    ],
)
def test_names_aliases_and_routes(models: tuple[Model, ...], expected: list[str]) -> None:
    assert problems(*models) == expected


@pytest.mark.parametrize(
    "models",
    [
        (model("openai/*"),),
        (model("openai/*", "*"),),
        (model("openai/*", "gpt-*"), model("openai/gpt-5")),
        (model("*", "*"),),
    ],
)
def test_good_families(models: tuple[Model, ...]) -> None:
    assert problems(*models) == []


TWO_STARS = "has a * that is not its only one and at its end, as in team/*"
NOT_A_FAMILY = (
    "ends in *, which stands for the rest of a name that ends in * itself; 'm' does not, so give "
    "a full name"
)


@pytest.mark.parametrize(
    ("wrong", "key", "says"),
    [
        (model("a*b"), "name", TWO_STARS),
        (model("*b"), "name", TWO_STARS),
        (model("a**"), "name", TWO_STARS),
        (model("a/*", "x*y"), "routes[0].model", TWO_STARS),
        (model("a/*", "**"), "routes[0].model", TWO_STARS),
        (model("m", "x*y"), "routes[0].model", TWO_STARS),
        (model("m", "*"), "routes[0].model", NOT_A_FAMILY),
        (model("m", "gpt-*"), "routes[0].model", NOT_A_FAMILY),
        (model("m", fallbacks=("f/*",)), "fallbacks[0]", NOT_A_FAMILY),
        (alias("m", "f/*"), "alias", NOT_A_FAMILY),
        (alias("a/*", "f/*x"), "alias", TWO_STARS),
    ],
)
def test_stars_stand_only_where_they_mean_something(wrong: Model, key: str, says: str) -> None:
    assert problems(wrong, model("f/*")) == [f"[[models]] {wrong.name!r} {key}: {says}"]


@pytest.mark.parametrize(
    "models",
    [
        # To a name of a family, and from one family to another.
        (alias("fast", "f/x"), model("f/*")),
        (alias("g/*", "f/*"), model("f/*")),
        (alias("g/*", "f/x-*"), model("f/*")),
        (alias("h/*", "g/*"), alias("g/*", "f/*"), model("f/*")),
        # All names there are, and those that nothing else stands for.
        (alias("*", "m"), MODEL),
        (alias("*", "f/*"), model("f/*")),
        (alias("g/*", "x/*"), model("*")),
        # One of a family goes another way.
        (alias("f/new", "f/old"), model("f/*")),
        (alias("f/new", "g/new"), alias("g/*", "h/*"), model("f/*"), model("h/*")),
    ],
)
def test_good_aliases(models: tuple[Model, ...]) -> None:
    assert problems(*models) == []


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        (
            (alias("a", "f/"), model("f/*")),
            ["[[models]] 'a' alias: there is no model 'f/'; known models: a, f/*"],
        ),
        (
            # What stands for some of `f/*` is not enough.
            (alias("g/*", "f/*"), model("f/x"), model("f/y*")),
            ["[[models]] 'g/*' alias: there is no model 'f/*'; known models: f/x, f/y*, g/*"],
        ),
        (
            (alias("f/*", "f/x"),),
            ["[[models]] 'f/*' alias: loop f/* -> f/*; point one of them at routes"],
        ),
        (
            # Longer with each turn: it would never end.
            (alias("*", "x/*"),),
            ["[[models]] '*' alias: loop * -> *; point one of them at routes"],
        ),
        (
            (alias("a*", "aa*"),),
            ["[[models]] 'a*' alias: loop a* -> a*; point one of them at routes"],
        ),
        (
            (alias("a", "f/x"), alias("f/*", "a")),
            [
                "[[models]] 'a' alias: loop a -> f/* -> a; point one of them at routes",
                "[[models]] 'f/*' alias: loop f/* -> a -> f/*; point one of them at routes",
            ],
        ),
        (
            (alias("a/*", "b/*"), alias("b/*", "a/x*")),
            [
                "[[models]] 'a/*' alias: loop a/* -> b/* -> a/*; point one of them at routes",
                "[[models]] 'b/*' alias: loop b/* -> a/* -> b/*; point one of them at routes",
            ],
        ),
        (
            # Only for what begins with `f/x`, but for that it is one.
            (alias("g/*", "f/*"), model("f/*"), alias("f/x*", "g/x*")),
            [
                "[[models]] 'g/*' alias: loop g/* -> f/x* -> g/*; point one of them at routes",
                "[[models]] 'f/x*' alias: loop f/x* -> g/* -> f/x*; point one of them at routes",
            ],
        ),
        (
            (alias("g/*", "f/*"), model("f/*"), alias("f/x", "g/x")),
            [
                "[[models]] 'g/*' alias: loop g/* -> f/x -> g/*; point one of them at routes",
                "[[models]] 'f/x' alias: loop f/x -> g/* -> f/x; point one of them at routes",
            ],
        ),
    ],
)
def test_bad_aliases_of_families(models: tuple[Model, ...], expected: list[str]) -> None:
    assert problems(*models) == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("strategy", "weighted"),
        ("sticky_by", ("user",)),
        ("retry", RetryOverrides(max_attempts=1)),
        ("fallbacks", ("n",)),
        ("fallback_on", ("context_length",)),
        ("hedge", HedgePolicy()),
        ("cache", ModelCache(ttl=1)),
    ],
)
def test_an_alias_has_no_options_of_its_own(key: str, value: Any) -> None:
    fields: dict[str, Any] = {key: value}
    found = problems(MODEL, Model(name="a", alias="m", **fields), model("n"))
    assert found == [f"[[models]] 'a' {key}: an alias has none of its own; set it at 'm'"]


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ((model("a", fallbacks=("m",)), MODEL), []),
        ((model("a", fallbacks=("m", "b")), model("b", fallbacks=("a", "m")), MODEL), []),
        ((model("a", fallbacks=("x",)), alias("x", "m"), MODEL), []),
        ((model("a", fallbacks=("f/x", "f/y")), model("f/*", "*")), []),
        ((model("g/*", fallbacks=("f/*", "m")), model("f/*", "*"), MODEL), []),
        # Whatever else is asked of a family may be answered by one of it.
        ((model("f/*", "*", fallbacks=("f/x",)),), []),
        (
            (model("a", fallbacks=("m", "x", "f/")), model("f/*"), MODEL),
            [
                "[[models]] 'a' fallbacks[1]: there is no model 'x'; known models: a, m, f/*",
                "[[models]] 'a' fallbacks[2]: there is no model 'f/'; known models: a, m, f/*",
            ],
        ),
        (
            (model("a", fallbacks=("a",)),),
            ["[[models]] 'a' fallbacks[0]: 'a' is itself; name other models, each once"],
        ),
        (
            (model("a", fallbacks=("b",)), alias("b", "a")),
            ["[[models]] 'a' fallbacks[0]: 'b' is itself; name other models, each once"],
        ),
        (
            (model("f/*", fallbacks=("f/*", "g/*")), alias("g/*", "f/*")),
            [
                "[[models]] 'f/*' fallbacks[0]: 'f/*' is itself; name other models, each once",
                "[[models]] 'f/*' fallbacks[1]: 'g/*' is itself; name other models, each once",
            ],
        ),
        (
            (model("a", fallbacks=("m", "b", "m")), MODEL, alias("b", "m")),
            [
                "[[models]] 'a' fallbacks[1]: 'b' is fallbacks[0] again; name other models, each "
                "once",
                "[[models]] 'a' fallbacks[2]: 'm' is fallbacks[0] again; name other models, each "
                "once",
            ],
        ),
        (
            (model("a", fallback_on=("content_policy",)),),
            ["[[models]] 'a' fallback_on: has no effect without fallbacks; add some or remove it"],
        ),
    ],
)
def test_fallbacks(models: tuple[Model, ...], expected: list[str]) -> None:
    assert problems(*models) == expected


@pytest.mark.parametrize(
    "sources", [("user",), ("token",), ("header:x-session-id",), ("header:X_y.1", "user", "token")]
)
def test_what_to_stick_to(sources: tuple[str, ...]) -> None:
    assert problems(model("a", strategy="sticky", sticky_by=sources)) == []


@pytest.mark.parametrize(
    "source", ["", "User", "header", "header:", "header:a b", "header:a\n", "x-session-id", "é"]
)
def test_what_nothing_can_stick_to(source: str) -> None:
    assert problems(model("a", strategy="sticky", sticky_by=("user", source))) == [
        f'[[models]] \'a\' sticky_by[1]: expected "header:NAME", "user" or "token", got {source!r}'
    ]


def test_sticky_by_and_its_strategy_go_together() -> None:
    assert problems(model("a", strategy="sticky", sticky_by=())) == [
        '[[models]] \'a\' sticky_by: is empty; name what to stick to, such as ["user", "token"]'
    ]
    assert problems(model("a", sticky_by=("user",))) == [
        "[[models]] 'a' sticky_by: has no effect without strategy = \"sticky\"; add it or remove "
        "this"
    ]


@pytest.mark.parametrize("strategy", ["priority", "weighted", "lowest_latency"])
def test_some_weight_is_needed(strategy: Any) -> None:
    none = Route(provider="demo", model="x", weight=0)
    some = Route(provider="demo", model="y", weight=0.5)
    assert problems(Model(name="a", routes=(none, some), strategy=strategy)) == []
    (problem,) = problems(Model(name="a", routes=(none, none), strategy=strategy))
    assert problem.startswith("[[models]] 'a' routes: every weight is 0; ")
