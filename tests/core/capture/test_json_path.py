from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.capture.json_path import REDACTED, JsonPath, Wild, parse_path, redact

EACH, DEEP = Wild.EACH, Wild.DEEP


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("user", ("user",)),
        ("$.user", ("user",)),
        ("a.b", ("a", "b")),
        ('a["odd.name"].b', ("a", "odd.name", "b")),
        ("a['odd name']", ("a", "odd name")),
        ("messages[0].content", ("messages", 0, "content")),
        ("messages[*].content", ("messages", EACH, "content")),
        ("choices[*].delta.content", ("choices", EACH, "delta", "content")),
        ("tools[ 1 ].function.name", ("tools", 1, "function", "name")),
        ("a.*.b", ("a", EACH, "b")),
        ("**.content", (DEEP, "content")),
        ("..content", (DEEP, "content")),
        ("$..content", (DEEP, "content")),
        ("a.**.b", ("a", DEEP, "b")),
        ("a..b", ("a", DEEP, "b")),
        ("a..[0]", ("a", DEEP, 0)),
        ("[0].a", (0, "a")),
        ("$.$defs", ("$defs",)),
        ("x-y_z", ("x-y_z",)),
        ("*", (EACH,)),
        ("$", ()),
    ],
)
def test_paths(text: str, steps: tuple[object, ...]) -> None:
    assert parse_path(text) == JsonPath(text, steps)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the path is empty"),
        (" ", "the path is empty"),
        ("a.", "expected a name or `*` at the end"),
        ("a..", "expected a name or `*` at the end"),
        ("a...b", "expected a name or `*` at '.b'"),
        ("a b", "expected '.' or '[' at ' b'"),
        ("$user", "expected '.' or '[' at 'user'"),
        ("a[0]b", "expected '.' or '[' at 'b'"),
        ("a[1:2]", "[1:2] is not understood"),
        ("a[-1]", "[-1] is not understood"),
        ("a[?(@.b)]", "[?(@.b)] is not understood"),
        ("a[0,1]", "[0,1] is not understood"),
        ("a[b]", "[b] is not understood"),
        ("a[0", "[0 is not understood"),
        ('a[""]', '[""] is not understood'),
        ("a['b\\'c']", "is not understood"),
        ("**", "nothing follows `**`"),
        ("a.**", "nothing follows `**`"),
        ("..a..b", "may stand in a path once"),
        ("a.**.**.b", "may stand in a path once"),
        ("***.a", "expected '.' or '[' at '*.a'"),
    ],
)
def test_what_is_no_path_is_refused_with_a_reason(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        parse_path(text)
    assert says in str(caught.value)
    if text.strip():
        assert repr(text) in str(caught.value)


def messages() -> dict[str, Any]:
    return {
        "user": "u",
        "messages": [
            {"role": "user", "content": "one"},
            {"role": "user", "content": [{"text": "two", "content": {"content": "three"}}]},
        ],
        "content": None,
    }


@pytest.mark.parametrize(
    ("path", "count", "gone", "left"),
    [
        ("user", 1, ["u"], ["one", "two", "three"]),
        ("messages[*].content", 2, ["one", "two", "three"], ["u"]),
        ("messages[0].content", 1, ["one"], ["u", "two", "three"]),
        ("messages[9].content", 0, [], ["u", "one", "two", "three"]),
        ("messages.*.content", 2, ["one", "two", "three"], ["u"]),
        ("messages.content", 0, [], ["u", "one", "two", "three"]),
        ("user.content", 0, [], ["u"]),
        ("[0].content", 0, [], ["u"]),
        ("**.content", 3, ["one", "two", "three"], ["u"]),
        ("**.text", 1, ["two"], ["one", "three"]),
        ("messages..[0]", 2, ["one", "two", "three"], ["u"]),
        ("$", 1, ["u", "one", "two", "three"], []),
        ("*", 3, ["u", "one", "two", "three"], []),
    ],
)
def test_what_a_path_names_is_replaced(
    path: str, count: int, gone: list[str], left: list[str]
) -> None:
    document, found = redact(messages(), parse_path(path))
    text = json.dumps(document)
    assert found == count
    assert [word for word in gone if f'"{word}"' in text] == []
    assert [word for word in left if f'"{word}"' not in text] == []
    assert text.count(REDACTED) == count
    # A second time there is nothing left to find below.
    again, _ = redact(json.loads(text), parse_path(path))
    assert again == document


def test_an_item_of_the_top_level() -> None:
    assert redact([{"a": 1}, {"a": 2}], parse_path("[1].a")) == ([{"a": 1}, {"a": REDACTED}], 1)


def test_scalars_have_nothing_inside() -> None:
    assert redact("text", parse_path("a")) == ("text", 0)
    assert redact(None, parse_path("**.a")) == (None, 0)
