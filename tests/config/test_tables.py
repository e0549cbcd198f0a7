from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from gateway.config.tables import TableReader, read_plain, unknown_key


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size: Annotated[float, Meta(ge=0)] = 1.0


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    kind: Literal["a", "b"] = "a"
    inner: Inner = Inner()
    inners: tuple[Inner, ...] = ()
    texts: dict[str, str] = {}
    count: int | None = None
    option: Inner | None = None
    choice: Annotated[float, Meta(gt=0, le=5)] | Literal["auto"] = "auto"
    until: Annotated[datetime, Meta(tz=True)] | None = None
    code: Annotated[str, Meta(pattern="^[a-z]+$", description="small letters")] = "a"


def read(tree: Any, **environ: str) -> tuple[Any, list[tuple[str, str]]]:
    reader = TableReader(environ)
    return reader.read("", tree, Outer), reader.problems


def test_what_is_read_converts_strictly() -> None:
    tree = {"name": "${N}", "count": "${C}", "inners": [{"size": "${S}"}], "texts": {"x": "${N}"}}
    found, problems = read(tree, N="n", C="3", S="2")
    assert problems == []
    assert msgspec.convert(found, Outer) == Outer(
        "n", inners=(Inner(2.0),), texts={"x": "n"}, count=3
    )


def test_every_fault_of_a_table_is_found_with_its_path() -> None:
    _, problems = read(
        {
            "kind": "c",
            "inner": {"size": -1, "siz": 0},
            "inners": [{}, {"size": "x"}, 3],
            "texts": {"x": 1, "y": "${Y}"},
            "count": "3",
        }
    )
    assert [path for path, _ in problems] == [
        "name",
        "kind",
        "inner.size",
        "inner.siz",
        "inners[1].size",
        "inners[2]",
        "texts.x",
        "texts.y",
        "count",
    ]
    said = dict(problems)
    assert said["kind"] == 'expected "a" or "b", got "c"'
    assert said["count"] == "expected a whole number, got a string"
    assert said["inner.siz"] == "unknown key; did you mean 'size'?"


@pytest.mark.parametrize(
    ("tree", "kind"),
    [([], "an array"), ("x", "a string"), (7, "a whole number"), (1.5, "a number")],
)
def test_what_is_no_table(tree: Any, kind: str) -> None:
    assert read(tree)[1] == [("", f"expected a table, got {kind}")]


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("idel", "unknown key; did you mean 'idle'?"),
        ("zzz", "unknown key; known keys: connect, idle"),
    ],
)
def test_unknown_key(key: str, says: str) -> None:
    assert unknown_key(key, ["idle", "connect"]) == says


MOMENT = datetime(2027, 1, 1, tzinfo=UTC)
NO_MOMENT: list[Any] = [
    *(datetime(2027, 1, 1), date(2027, 1, 1), time(1), 7, True, {}),
    *("tomorrow", "2027-01-01T00:00:00"),
]
NO_CHOICE: list[Any] = ["autox", 0, 6, -1.0, float("nan"), True, [], {}, MOMENT, "${N}"]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("choice", "auto", "auto"),
        ("choice", 2, 2.0),
        ("choice", 2.5, 2.5),
        ("choice", "${N}", 3.0),
        ("choice", "${A}", "auto"),
        ("until", MOMENT, MOMENT),
        ("until", "2027-01-01T00:00:00Z", MOMENT),
        ("until", "${T}", MOMENT),
        ("option", {}, Inner()),
        ("option", {"size": "${N}"}, Inner(3.0)),
        ("code", "xyz", "xyz"),
    ],
)
def test_what_may_be_several_things(key: str, value: Any, expected: Any) -> None:
    found, problems = read(
        {"name": "n", key: value}, N="3", A="auto", T="2027-01-01T01:00:00+01:00"
    )
    assert problems == []
    assert getattr(msgspec.convert(found, Outer), key) == expected


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        *(("choice", value, 'expected a number > 0 and <= 5 or "auto"') for value in NO_CHOICE),
        *(
            (
                "until",
                value,
                "expected a date and time with an offset, such as 2027-01-01T00:00:00Z",
            )
            for value in NO_MOMENT
        ),
        ("option", True, "expected a table, got true or false"),
        ("option", MOMENT, "expected a table, got a date and time"),
        ("option.size", {"size": "x"}, "expected a number, got a string"),
        ("option.sizes", {"sizes": 1}, "unknown key; did you mean 'size'?"),
        ("code", "A", "expected small letters"),
        ("code", 1, "expected a string, got a whole number"),
    ],
)
def test_faults_of_what_may_be_several_things(key: str, value: Any, says: str) -> None:
    _, problems = read({"name": "n", key.partition(".")[0]: value}, N="x")
    assert problems == [(key, says)]


class Required(msgspec.Struct):
    many: tuple[str, ...]
    texts: dict[str, str]
    inner: Inner
    option: Inner | None
    choice: Annotated[float, Meta(gt=0)] | Literal["auto"]
    until: datetime


def test_what_is_missing_is_said_in_words() -> None:
    reader = TableReader({})
    reader.read("", {}, Required)
    assert dict(reader.problems) == {
        "many": "missing; expected an array",
        "texts": "missing; expected a table",
        "inner": "missing; expected a table",
        "option": "missing; expected a table",
        "choice": 'missing; expected a number > 0 or "auto"',
        "until": "missing; expected a date and time with an offset, such as 2027-01-01T00:00:00Z",
    }


FULL = {
    "name": "n",
    "kind": "b",
    "inner": {"size": 2},
    "inners": [{"size": 1.5}],
    "texts": {"x": "y"},
    "count": 3,
    "choice": 0.5,
    "until": MOMENT,
}


@pytest.mark.parametrize("tree", [{"name": "n"}, FULL])
def test_the_short_way_ends_where_the_long_one_does(tree: Any) -> None:
    found, problems = read(tree)
    assert problems == []
    assert read_plain(tree, Outer) == msgspec.convert(found, Outer)


@pytest.mark.parametrize(
    "tree",
    [
        [],
        "x",
        {},
        {"name": "${N}"},
        {"name": "n", "texts": {"x": "a$${"}},
        {"name": "n", "count": "3"},
        {"name": "n", "inner": {"size": float("inf")}},
        {"name": "n", "inners": [{"size": float("nan")}]},
        {"name": "n", "inners": [{"sizes": 1}]},
        {"name": "n", "other": 1},
    ],
)
def test_the_short_way_is_not_for_faults_and_references(tree: Any) -> None:
    assert read_plain(tree, Outer) is None


def test_a_wrong_word_is_shown_but_no_secret() -> None:
    class Words(msgspec.Struct):
        one: Literal["a", "b"] = "a"
        several: tuple[Literal["a", "b"], ...] = ()
        number: float | Literal["auto"] = 1.0

    def said(environ: dict[str, str], **table: object) -> list[str]:
        reader = TableReader(environ)
        reader.read("", table, Words)
        return [what for _, what in reader.problems]

    wrong = 'expected "a" or "b"'
    assert said({}, one="c") == [f'{wrong}, got "c"']
    assert said({}, several=["a", "x y"]) == [f'{wrong}, got "x y"']
    # As long as a key, not for a terminal, from the environment, or where anything may stand.
    for value in ("c" * 25, "\x1b[2J"):
        assert said({}, one=value) == [wrong]
    assert said({"A": "c"}, one="${A}") == [wrong]
    assert said({}, one=7) == [wrong]
    assert "zzz" not in said({}, number="zzz")[0]
