from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from gateway.config.tables import TableReader, unknown_key


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size: Annotated[float, Meta(ge=0)] = 1.0


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    kind: Literal["a", "b"] = "a"
    inner: Inner = Inner()
    inners: tuple[Inner, ...] = ()
    texts: dict[str, str] = {}
    count: int | None = None


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
    assert said["kind"] == 'expected "a" or "b"'
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
