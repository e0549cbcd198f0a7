from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.wire import splice as module
from gateway.core.wire.json_scan import MAX_MEMBERS, scan
from gateway.core.wire.splice import (
    MAX_SCAN,
    DuplicateKey,
    InvalidJSON,
    JsonMember,
    NotAnObject,
    check_unique,
    members,
    splice,
)

Pairs = list[tuple[str, Any]]


def pairs(body: bytes) -> Pairs:
    """Decode an object to its top-level pairs, duplicates and all."""
    found: list[Pairs] = []

    def hook(items: Pairs) -> object:
        found.append(items)  # the outermost object is the last to be complete
        return {"object": items}

    json.loads(body, object_pairs_hook=hook)
    return found[-1]


def edited(before: Pairs, replace: dict[str, Any], put: dict[str, Any], remove: set[str]) -> Pairs:
    """Make the same edit as `splice`, on decoded pairs."""
    new = replace | put
    after = [(key, new.get(key, value)) for key, value in before if key not in remove]
    present = {key for key, _ in before}
    after += [(k, value) for k, value in put.items() if k not in present and k not in remove]
    return after


# Odd JSON text, written token by token...

SPACE = st.sampled_from(["", "", "", " ", "\n", "\t\r\n  "])
KEYS = ["model", "usage", "stream", "Model", "", 'a"b', "a\\", "é", "🎉", "x\n", '":1,"model', "}{"]
# Lone surrogates, which msgspec refuses, come as escapes.
TEXTS = st.sampled_from([*KEYS, "\ud83d", "a\udc00b"]) | st.text('aé🎉\\"{}[]:, \x00', max_size=6)
NUMBERS = st.sampled_from(["0", "-0", "1", "12", "123", "-1.5e+10", "1E400", "0.10", "9" * 5000])


@st.composite
def strings(draw: st.DrawFn, texts: st.SearchStrategy[str] = TEXTS) -> str:
    """Spell a string in one of its ways."""
    out = []
    for char in draw(texts):
        plain = json.dumps(char, ensure_ascii="\ud800" <= char <= "\udfff")[1:-1]
        escaped = "".join(
            f"\\u{int.from_bytes(unit, 'big'):04x}"
            for pair in [char.encode("utf-16-be", "surrogatepass")]
            for unit in (pair[:2], pair[2:])
            if unit
        )
        out.append(draw(st.sampled_from([plain, plain, plain, escaped])))
    return f'"{"".join(out)}"'


@st.composite
def objects(draw: st.DrawFn, values: st.SearchStrategy[str], *, unique: bool | None = None) -> str:
    keys = draw(st.lists(st.sampled_from(KEYS), max_size=5, unique=bool(unique)))
    items = []
    for key in keys:
        spelled = draw(strings(st.just(key)))
        a, b, c, d = (draw(SPACE) for _ in range(4))
        items.append(f"{a}{spelled}{b}:{c}{draw(values)}{d}")
    return "{" + (",".join(items) or draw(SPACE)) + "}"


@st.composite
def arrays(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    items = [draw(SPACE) + value + draw(SPACE) for value in draw(st.lists(values, max_size=3))]
    return "[" + (",".join(items) or draw(SPACE)) + "]"


ATOMS = st.sampled_from(["null", "true", "false"]) | NUMBERS | strings()
VALUES = st.recursive(ATOMS, lambda inner: arrays(inner) | objects(inner), max_leaves=6)
BODIES = st.builds("{}{}{}".format, SPACE, objects(VALUES), SPACE).map(str.encode)
NEW_KEYS = st.sampled_from([*KEYS, "new", "new too"])
EDITS = st.dictionaries(NEW_KEYS, st.integers(0, 3) | st.just("model"), max_size=3)


@pytest.fixture(autouse=True, scope="module")
def _any_number_of_digits() -> Iterator[None]:
    """Let the json of these tests read what RFC 8259 allows."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    yield
    sys.set_int_max_str_digits(limit)


@given(BODIES)
@example(b'{"a":1,"a":12}')
@example(b'{"a":12,"a":1}')
@example(b'{"a":1,"b":2,"a":1}')
@example(b'{"a":1,"a":1}')
@example(b'{"\\u0061":1,"a":1}')
@example(b'{"a":{"model":1},"model":2}')
@example(b'{"a":1,"\\":1,\\"a":1,"":1}')
def test_finds_every_member(body: bytes) -> None:
    found = members(body)
    assert found == scan(body)
    assert [(m.key, pairs(b'{"":%b}' % body[m.value_start : m.end])) for m in found] == [
        (key, [("", value)]) for key, value in pairs(body)
    ]
    at = 0
    for member in found:
        # Nothing but the structure lies between them, and nothing around them is theirs.
        assert body[at : member.start].strip(b" \t\r\n") == (b"," if at else b"{")
        assert json.loads(body[member.start : member.value_start].rstrip(b" \t\r\n:")) == member.key
        assert (
            body[member.value_start : member.end].strip() == body[member.value_start : member.end]
        )
        at = member.end
    assert body[at:].translate(None, b" \t\r\n") == (b"}" if found else b"{}")


@given(BODIES, EDITS, EDITS, st.sets(NEW_KEYS, max_size=4), st.booleans())
def test_edits_bytes_as_one_would_edit_pairs(
    body: bytes, replace: dict[str, Any], put: dict[str, Any], remove: set[str], known: bool
) -> None:
    after = splice(
        body,
        replace={key: json.dumps(value).encode() for key, value in replace.items()},
        put={key: json.dumps(value).encode() for key, value in put.items()},
        remove=remove,
        known=members(body) if known else None,
    )
    assert pairs(after) == edited(pairs(body), replace, put, remove)
    members(after)


@given(BODIES, EDITS)
def test_bytes_outside_a_replaced_value_stay(body: bytes, replace: dict[str, Any]) -> None:
    new = {key: b" %b " % json.dumps(value).encode() for key, value in replace.items()}
    pieces, at = [], 0
    for member in members(body):
        if member.key in new:
            pieces += [body[at : member.value_start], new[member.key]]
            at = member.end
    assert splice(body, replace=new) == b"".join(pieces) + body[at:]


@pytest.mark.parametrize(
    ("body", "remove", "after"),
    [
        (b'{"a":1}', "a", b"{}"),
        (b'{ "a" : 1 }', "a", b"{  }"),
        (b'{"a":1,"b":2,"c":3}', "a", b'{"b":2,"c":3}'),
        (b'{"a":1,"b":2,"c":3}', "b", b'{"a":1,"c":3}'),
        (b'{"a":1,"b":2,"c":3}', "c", b'{"a":1,"b":2}'),
        (b'{"a":1,"b":2,"c":3}', "ab", b'{"c":3}'),
        (b'{"a":1,"b":2,"c":3}', "bc", b'{"a":1}'),
        (b'{"a":1,"b":2,"c":3}', "ac", b'{"b":2}'),
        (b'{"a":1,"b":2,"c":3}', "abc", b"{}"),
        (b'{"a":1,"b":2,"a":3}', "a", b'{"b":2}'),
        (b'{\n  "a": 1,\n  "b": 2,\n  "c": 3\n}\n', "b", b'{\n  "a": 1,\n  "c": 3\n}\n'),
        (b'{\n  "a": 1,\n  "b": 2,\n  "c": 3\n}\n', "c", b'{\n  "a": 1,\n  "b": 2\n}\n'),
        (b'{"b":{"a":1},"c":[{"a":1}]}', "a", b'{"b":{"a":1},"c":[{"a":1}]}'),
    ],
)
def test_removes_one_comma_with_each(body: bytes, remove: str, after: bytes) -> None:
    assert splice(body, remove=set(remove)) == after


@pytest.mark.parametrize(
    ("body", "after"),
    [
        (b"{}", b'{"model":"m"}'),
        (b" { } ", b' {"model":"m" } '),
        (b'{"a":1}', b'{"a":1,"model":"m"}'),
        (b'{"a": 1\n}', b'{"a": 1,"model":"m"\n}'),
        (b'{"model":1}', b'{"model":"m"}'),
        (b'{"a":{"model":1},"mod\\u0065l" : 1 }', b'{"a":{"model":1},"mod\\u0065l" : "m" }'),
        (b'{"model":1,"model":2}', b'{"model":"m","model":"m"}'),
    ],
)
def test_puts_a_member(body: bytes, after: bytes) -> None:
    assert splice(body, put={"model": b'"m"'}) == after
    assert splice(after, put={"model": b'"m"'}) is after


def test_remove_wins_over_put_and_put_over_replace() -> None:
    body = b'{"a":1,"b":1}'
    one, two = {"a": b"2", "b": b"2"}, {"a": b"3", "c": b"3"}
    assert splice(body, replace=one, put=two) == b'{"a":3,"b":2,"c":3}'
    assert splice(body, replace=one, put=two, remove=("a", "c")) == b'{"b":2}'


def test_returns_the_same_object_when_nothing_changes() -> None:
    body = b'{"a":1, "b":{"c":1}}'
    for same in (
        splice(body),
        splice(body, replace={"c": b"2"}),
        splice(body, replace={"a": b"1"}, put={"a": b"1"}, remove=("c",)),
    ):
        assert same is body


# What is not JSON...


@pytest.mark.parametrize(
    ("body", "position"),
    [
        (b"", 0),
        (b"  ", 2),
        (b"{", 1),
        (b'{"a"', 4),
        (b'{"a":', 5),
        (b'{"a":1', 6),
        (b'{"a":1,', 7),
        (b'{"a":1,}', 7),
        (b'{,"a":1}', 1),
        (b'{"a" 1}', 5),
        (b"{'a':1}", 1),
        (b"{a:1}", 1),
        (b"{1:1}", 1),
        (b'{"a":1 "b":1}', 7),
        (b'{"a":1]', 6),
        (b'{"a":1}}', 7),
        (b'{"a":1} x', 8),
        (b'{"a":1}\0', 7),
        (b'{"a":1}\x0b', 7),
        (b'{"a":\xc2\xa01}', 5),
        (b'\xef\xbb\xbf{"a":1}', 0),
        (b'{"a":\xef\xbb\xbf1}', 5),
        (b'{"a":"\xff"}', 6),
        (b'{"\xff":1}', 2),
        (b'{"a":"\xed\xa0\x80"}', 6),
        (b'{"a":["\xc0\x80"]}', 7),
        (b'{"a":"\x01"}', 6),
        (b'{"a":"\n"}', 6),
        (b'{"a":"\\x"}', 6),
        (b'{"a":"\\u12g4"}', 7),
        (b'{"a":"x}', 5),
        (b'{"a":01}', 6),
        (b'{"a":[01]}', 7),
        (b'{"a":+1}', 5),
        (b'{"a":.5}', 5),
        (b'{"a":1.}', 6),
        (b'{"a":1e}', 6),
        (b'{"a":-}', 5),
        (b'{"a":[1,]}', None),
        (b'{"a":{"b":1,}}', None),
        (b'{"a":tru}', 5),
        (b'{"a":NaN}', None),
        (b'{"a":[Infinity]}', None),
        (b'{"a":-Infinity}', None),
        (b"[1", None),
        (b"1 2", 2),
        (b"nope", 0),
    ],
)
def test_refuses(body: bytes, position: int | None) -> None:
    for read in (members, scan):
        with pytest.raises(InvalidJSON) as caught:
            read(body)
        assert type(caught.value) is InvalidJSON or body.startswith(b"[")
        if position is not None:
            assert caught.value.position == position
            assert str(caught.value).endswith(f"(byte {position})")
    with pytest.raises(InvalidJSON):
        splice(body, put={"a": b"1"})


@pytest.mark.parametrize("body", [b"[]", b" [1]", b"1", b'"{}"', b"null", b"true "])
def test_refuses_what_is_no_object(body: bytes) -> None:
    with pytest.raises(NotAnObject, match="object"):
        members(body)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("surrogate", ["", "\\ud800"])
def test_refuses_deep_nesting_without_falling_over(opening: str, surrogate: str) -> None:
    closing = "]" if opening == "[" else "}"
    for depth, fine in ((500, True), (200_000, False)):
        text = f'{{"s":"{surrogate}","d":{opening * depth}1{closing * depth}}}'
        if fine:
            assert [member.key for member in members(text.encode())] == ["s", "d"]
        else:
            with pytest.raises(InvalidJSON, match="nested too deeply"):
                members(text.encode())


@given(st.lists(st.sampled_from(
    ['"', "a", "\\", "\\u", "d83d", "{", "}", "[", "]", ",", ":", " ", "0", "1", "-", ".", "e",
     "null", "NaN", '"a":', '{"a":', "é", "\n", "\x01"]), max_size=10).map("".join))  # fmt: skip
def test_both_readers_agree_on_any_soup(text: str) -> None:
    def outcome(read: Any, body: bytes) -> object:
        try:
            return read(body)
        except NotAnObject:
            return NotAnObject
        except InvalidJSON:
            return InvalidJSON

    for body in (text.encode(), b'{"a":%b}' % text.encode()):
        found = outcome(scan, body)
        assert outcome(members, body) == found
        try:
            strict = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # Only surrogates are refused by the one and allowed by the other.
            assert found in (InvalidJSON, NotAnObject) or b"\\ud83d" in body
        else:
            assert (found is NotAnObject) is not isinstance(strict, dict)
            assert found is not InvalidJSON


# Duplicates...


def test_equal_keys_and_case_equal_keys_are_duplicates() -> None:
    check_unique(members(b'{"a":{"a":1},"b":{"a":1}}'))
    with pytest.raises(DuplicateKey, match="'model'") as caught:
        check_unique(members(b'{"model":1,"x":2,"mod\\u0065l":1}'))
    assert (caught.value.key, caught.value.other) == ("model", "model")
    with pytest.raises(DuplicateKey, match="case") as caught:
        check_unique(members(b'{"model":1,"MODEL":1}'))
    assert (caught.value.key, caught.value.other) == ("MODEL", "model")
    with pytest.raises(DuplicateKey):
        check_unique(members('{"straße":1,"STRASSE":1}'.encode()))


# Large bodies...


def steps(body: bytes) -> int:
    """Count the calls that Python code makes while it reads `body`."""
    count = 0

    def profile(frame: object, event: str, arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        members(body)
    finally:
        sys.setprofile(before)
    return count


def test_large_values_are_skipped_in_c() -> None:
    """The steps in Python are as many as the members ask for, whatever is inside them."""

    def body(size: int, end: bytes) -> bytes:
        values = [
            "[" + ",".join(["1"] * 2 * size) + "]",
            json.dumps("a\n\"'\\é" * size),
            json.dumps("aé" * size, ensure_ascii=False),
            json.dumps([{"role": "user", "content": "x" * 100}] * (size // 20)),
        ]
        members = ",".join(f'"k{n}": {value}' for n, value in enumerate(values))
        return b"{%b%b" % (members.encode(), end)

    # As it is, and in both ways to need the thorough reader, up to what that is given.
    for size, end, more in (
        (100_000, b"}", []),
        (5_000, b',"k0":1}', ["k0"]),
        (5_000, b',"s":"\\ud800"}', ["s"]),
    ):
        large = body(size, end)
        assert more == [] or len(large) <= MAX_SCAN
        assert [member.key for member in members(large)] == ["k0", "k1", "k2", "k3", *more]
        # Beside those of the bound on the members, which many colons ask for.
        assert steps(large) <= steps(body(20, end)) + 100 < 400


@pytest.mark.parametrize("key", ["k", "k{}"])
def test_bounds_the_number_of_members(key: str) -> None:
    items = [f'"{key.format(n)}":{n}' for n in range(MAX_MEMBERS + 1)]
    assert len(members(f"{{{','.join(items[:-1])}}}".encode())) == MAX_MEMBERS
    with pytest.raises(InvalidJSON, match="members"):
        members(f"{{{','.join(items)}}}".encode())


def test_a_key_may_be_large_and_full_of_escapes() -> None:
    key = '\n"' * 50_000
    body = json.dumps({"a": 1, key: 2, "b": 3}, indent=1).encode()
    assert [member.key for member in members(body)] == ["a", key, "b"]
    assert pairs(splice(body, remove=(key,))) == [("a", 1), ("b", 3)]


def test_remembers_only_so_many_keys() -> None:
    for n in range(3000):
        assert members(b'{"key%d":1}' % n) == [
            JsonMember(f"key{n}", 1, 7 + len(str(n)), 8 + len(str(n)))
        ]
    members(b'{"%b":1}' % (b"k" * 100))
    assert 0 < len(module._PREFIXES) <= 1024
    assert "k" * 100 not in module._PREFIXES


# Large bodies, of which no Python objects are made...


def pad(text: str) -> bytes:
    """Return an object whose first member takes it beyond what is scanned."""
    return b'{"pad":"' + b"x" * MAX_SCAN + b'",' + text.encode("ascii") + b"}"


@pytest.mark.parametrize(
    "text",
    [
        r'"model":"\ud83d"',
        r'"b\ud800" : 1, "model":"x"',
        r'"\\ud800":"\\ud800","\uDFFF":[{"model":"\udc00"}]',
    ],
)
def test_lone_surrogates_in_a_large_body_are_found_where_they_are(text: str) -> None:
    body = pad(text)
    assert members(body) == scan(body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (pad('"a":[1,]'), "trailing comma"),
        (pad('"a":NaN'), "invalid character"),
        (pad(r'"a":"\ud800",'), "trailing comma"),
        (pad('"a":1,"a":1'), "more than once"),
        (pad('"a":' + "[" * 100_000), "nested too deeply"),
        (b"[" + b"1," * MAX_SCAN + b"1]", "expected a JSON object"),
    ],
)
def test_faults_of_a_large_body_are_named(body: bytes, message: str) -> None:
    with pytest.raises(InvalidJSON, match=message):
        members(body)
