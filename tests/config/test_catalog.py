from __future__ import annotations

import pytest

from gateway.config import catalog
from gateway.config.catalog import Catalog, NameMatch, Names
from gateway.config.schema import Model, Route

ROUTES = (Route(provider="p", model="x"),)


def model(name: str) -> Model:
    return Model(name=name, routes=ROUTES)


def alias(name: str, to: str) -> Model:
    return Model(name=name, alias=to)


def names(*models: Model | str) -> Names:
    return Names([model(each) if isinstance(each, str) else each for each in models])


FAMILIES = names("a", "o/*", "o/gpt*", "o/gpt-5", "o/gpt-5-*")


@pytest.mark.parametrize(
    ("name", "served_by", "rest"),
    [
        ("a", "a", ""),
        # An exact name goes before any family, and of these the longest beginning wins.
        ("o/gpt-5", "o/gpt-5", ""),
        ("o/gpt-5-mini", "o/gpt-5-*", "mini"),
        ("o/gpt-4", "o/gpt*", "-4"),
        ("o/o3", "o/*", "o3"),
        ("o/a/b", "o/*", "a/b"),
        ("o/o/*", "o/*", "o/*"),
        # There must be something that the * stands for.
        ("o/gpt", "o/*", "gpt"),
        ("o/gpt-5-", "o/gpt*", "-5-"),
        # A family itself, as aliases of another one name it.
        ("o/*", "o/*", "*"),
        ("o/gpt-5-*", "o/gpt-5-*", "*"),
        ("o/x*", "o/*", "x*"),
    ],
)
def test_match(name: str, served_by: str, rest: str) -> None:
    found = FAMILIES.match(name)
    assert found is not None
    assert (found.model.name, found.rest) == (served_by, rest)


@pytest.mark.parametrize("name", ["", "A", "aa", "o", "o/", "O/gpt", "*", "/"])
def test_no_match(name: str) -> None:
    assert FAMILIES.match(name) is None


def test_the_order_of_the_file_does_not_matter_to_families() -> None:
    for order in (("x*", "xy*", "*"), ("*", "xy*", "x*")):
        found = names(*order)
        served = {name: found.match(name) for name in ("xyz", "xz", "z")}
        assert {name: each and each.model.name for name, each in served.items()} == {
            "xyz": "xy*",
            "xz": "x*",
            "z": "*",
        }


@pytest.mark.parametrize(
    ("text", "rest", "filled"),
    [("x", "y", "x"), ("*", "y", "y"), ("gpt-*", "4", "gpt-4"), ("gpt-*", "*", "gpt-*")],
)
def test_fill(text: str, rest: str, filled: str) -> None:
    assert NameMatch(model("m"), rest).fill(text) == filled


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("none", []),
        ("real", ["real"]),
        ("one", ["one", "real"]),
        ("two", ["two", "one", "real"]),
        ("f/x", ["f/x"]),
        ("to-f", ["to-f", "f/x"]),
        ("g/x", ["g/x", "f/x"]),
        ("g/x-y", ["g/x-y", "f/x-y"]),
        ("h/y", ["h/y", "g/x-y", "f/x-y"]),
        ("h/*", ["h/*", "g/x-*", "f/x-*"]),
        # The check has refused these; even so there is an end.
        ("dangling", ["dangling"]),
        ("loop-1", ["loop-1", "loop-2"]),
        ("into-loop", ["into-loop", "loop-1", "loop-2"]),
        ("grow/x", ["grow/x"]),
    ],
)
def test_follow(name: str, way: list[str]) -> None:
    found = names(
        "real",
        "f/*",
        alias("one", "real"),
        alias("two", "one"),
        alias("to-f", "f/x"),
        alias("g/*", "f/*"),
        alias("h/*", "g/x-*"),
        alias("dangling", "nowhere"),
        alias("loop-1", "loop-2"),
        alias("loop-2", "loop-1"),
        alias("into-loop", "loop-1"),
        alias("grow/*", "grow/grow/*"),
    )
    assert [match.fill(match.model.name) for match in found.follow(name)] == way


class Made:
    """Makes catalogs, and knows what they had made."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, name: str) -> str:
        self.names.append(name)
        return f"<{name}>"


def test_a_catalog_has_what_has_a_name_at_once() -> None:
    made = Made()
    found = Catalog(names("b", "o/*", "a", "o/x"), made)
    assert sorted(made.names) == ["a", "b", "o/*", "o/x"]
    assert list(found) == ["<b>", "<a>", "<o/x>"]
    assert list(found.everything()) == ["<b>", "<a>", "<o/x>", "<o/*>"]
    assert found.get("a") == "<a>"
    assert len(made.names) == 4


def test_a_catalog_makes_members_of_families_once_each() -> None:
    made = Made()
    found = Catalog(names("a", "o/*"), made)
    made.names.clear()
    for _ in range(3):
        assert found.get("o/1") == "<o/1>"
        assert found.get("o/2") == "<o/2>"
    assert made.names == ["o/1", "o/2"]
    # They are nothing that the configuration names.
    assert list(found.everything()) == ["<a>", "<o/*>"]


def test_a_catalog_does_not_have_what_nothing_stands_for() -> None:
    made = Made()
    found = Catalog(names("a", "o/*"), made)
    made.names.clear()
    assert found.get("b") is None
    assert found.get("o/") is None
    assert made.names == []


def test_only_so_many_names_that_callers_make_up_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catalog, "MAX_REMEMBERED", 3)
    made = Made()
    found = Catalog(names("a", "*"), made)
    for name in ("1", "2", "3", "1", "4"):
        found.get(name)
    made.names.clear()
    # The one that was asked for least recently is gone, and has to be made again.
    for name in ("1", "3", "4"):
        found.get(name)
    assert made.names == []
    assert found.get("2") == "<2>"
    assert made.names == ["2"]
    for number in range(100):
        found.get(f"made-up-{number}")
    assert len(found._remembered) == 3
    assert found.get("a") == "<a>"
