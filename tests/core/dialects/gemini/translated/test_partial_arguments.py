from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.dialects.gemini.translated.partial_arguments import PartialArguments


def put_together(*pieces: dict[str, Any]) -> str:
    found = PartialArguments()
    for piece in pieces:
        found.add(json.dumps([piece]).encode())
    return found.json()


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([], "{}"),
        ([{"jsonPath": "$.a", "stringValue": "x"}], '{"a":"x"}'),
        (
            [
                {"jsonPath": "$.a", "stringValue": "Hel", "willContinue": True},
                {"jsonPath": "$.a", "stringValue": "lo", "willContinue": True},
                {"jsonPath": "$.a", "stringValue": ""},
                {"jsonPath": "$.b", "numberValue": 1},
            ],
            '{"a":"Hello","b":1}',
        ),
        # A text that was said to go on, and does not.
        (
            [
                {"jsonPath": "$.a", "stringValue": "x", "willContinue": True},
                {"jsonPath": "$.b", "boolValue": False},
            ],
            '{"a":"x","b":false}',
        ),
        ([{"jsonPath": "$.a", "nullValue": "NULL_VALUE"}], '{"a":null}'),
        (
            [
                {"jsonPath": "$.a[1].b", "numberValue": 2},
                {"jsonPath": "$.a[0]", "stringValue": "z"},
            ],
            '{"a":["z",{"b":2}]}',
        ),
        ([{"jsonPath": '$[\'a.b\']["c\\"d"]', "boolValue": True}], '{"a.b":{"c\\"d":true}}'),
    ],
)
def test_pieces(pieces: list[dict[str, Any]], expected: str) -> None:
    assert put_together(*pieces) == expected


def test_numbers_keep_their_digits() -> None:
    found = PartialArguments()
    found.add(b'[{"jsonPath":"$.n","numberValue":1.50},{"jsonPath":"$.m","numberValue":1e400}]')
    assert found.json() == '{"n":1.50,"m":1e400}'


@pytest.mark.parametrize(
    "pieces",
    [
        [{"jsonPath": "a", "stringValue": "x"}],
        [{"jsonPath": "$a", "stringValue": "x"}],
        [{"jsonPath": "$.a[", "stringValue": "x"}],
        [{"jsonPath": "$.a[9999999]", "stringValue": "x"}],
        [{"jsonPath": "$" + ".a" * 100, "stringValue": "x"}],
        [{"jsonPath": "$.a", "stringValue": "x"}, {"jsonPath": "$.a.b", "stringValue": "x"}],
        [{"jsonPath": "$.a[0]", "stringValue": "x"}, {"jsonPath": "$.a.b", "stringValue": "x"}],
    ],
)
def test_what_does_not_fit_together(pieces: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match=r"."):
        put_together(*pieces)


@given(st.lists(st.tuples(st.text(alphabet="$.ab[]01'\"", max_size=12), st.text(max_size=4))))
def test_whatever_comes_nothing_else_is_raised(pieces: list[tuple[str, str]]) -> None:
    try:
        text = put_together(*({"jsonPath": f"${p}", "stringValue": t} for p, t in pieces))
    except ValueError:
        return
    assert isinstance(json.loads(text), dict)
