from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.cache import key as module
from gateway.core.cache.key import CANONICAL_BYTES, cache_key, canonical

ONE = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}'


def key(body: bytes, **other: Any) -> bytes | None:
    arguments: dict[str, Any] = {
        "dialect": "openai_chat",
        "name": "ann",
        "digest": b"d" * 32,
        "model": "m",
        "fingerprint": b"f",
        **other,
    }
    return cache_key(body=body, **arguments)


SAME = {
    "spaces": b' {\n"model" : "m","messages":[ {"role":"user","content":"hi"} ],'
    b'\t"stream":true}\r\n',
    "order": b'{"stream":true,"messages":[{"content":"hi","role":"user"}],"model":"m"}',
    "escapes": b'{"mode\\u006c":"\\u006d","messages":[{"role":"user","content":"\\u0068i"}],'
    b'"stream":true}',
}


@pytest.mark.parametrize("body", SAME.values(), ids=SAME)
def test_two_spellings_of_one_request_have_one_key(body: bytes) -> None:
    assert key(body) == key(ONE)
    assert key(ONE) is not None


def with_value(value: bytes) -> bytes:
    return b'{"model":"m","x":%b}' % value


DIFFERENT = [
    *(b"1", b"1.0", b"1e0", b"1E0", b"10e-1", b"-1", b"0", b"-0", b"0.1", b"0.10"),
    *(b"123456789012345678901", b"123456789012345678902", b"0.30000000000000000001"),
    *(b'"1"', b'"1.0"', b"true", b"false", b"null", b'"true"', b'"null"', b'""', b"[]", b"{}"),
    *(b"[1,2]", b"[2,1]", b"[[1],2]", b"[[1,2]]", b'["1",2]', b'{"a":1}', b'{"a":[1]}'),
    *(b'{"1":1}', b'"\\u00e9"', b'"e\\u0301"', b'"\\n"', b'"\\\\n"', b'"A"', b'"a"', b'"\\u0000"'),
]


def test_different_values_have_different_keys() -> None:
    keys = [key(with_value(value)) for value in DIFFERENT]
    assert None not in keys
    assert len(set(keys)) == len(DIFFERENT)


def test_an_option_that_is_there_or_not_is_a_difference() -> None:
    bodies = [b'{"model":"m"}', b'{"model":"m","stream":false}', b'{"model":"m","stream":null}']
    assert len({key(body) for body in bodies}) == 3


def test_who_asks_and_what_is_behind_the_model_belong_to_the_key() -> None:
    keys = {
        key(ONE),
        key(ONE, name="bob"),
        key(ONE, digest=b"e" * 32),
        key(ONE, model="n"),
        key(ONE, fingerprint=b"g"),
        # No part can borrow from its neighbour.
        key(ONE, model="mf", fingerprint=b""),
        key(ONE, name="ann" + "d" * 32, digest=b""),
    }
    assert len(keys) == 7
    assert all(found is not None and len(found) == 32 for found in keys)


AMBIGUOUS = {
    "a duplicate": b'{"a":1,"a":1}',
    "escaped": b'{"a":1,"\\u0061":1}',
    "deeper": b'{"a":[{"b":{"c":1,"c":2}}]}',
    "no JSON": b'{"a":1',
    "nothing": b"",
    "more behind it": b"{} {}",
    "not UTF-8": b'{"a":"\xff"}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"a":1}',
    "a lone surrogate": b'{"a":"\\ud800"}',
    "a lone surrogate in a key": b'{"\\udc00":1}',
    "a control character": b'{"a":"\n"}',
    "too deep": b'{"a":' + b"[" * 60_000 + b"]" * 60_000 + b"}",
}


@pytest.mark.parametrize("body", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_two_readers_may_read_differently_has_no_key(body: bytes) -> None:
    assert canonical(body) is None
    assert key(body) is None


def test_a_surrogate_pair_is_the_character_it_stands_for() -> None:
    assert canonical(b'"\\ud83d\\ude00"') == canonical('"😀"'.encode()) == '"😀"'.encode()


def test_the_canonical_form() -> None:
    body = b'{"b" : [1.50, -0, 1E+2, {"z":null,"y":false}], "a":"\\u00e9\\/\\u0022"}'
    assert canonical(body) == '{"a":"é/\\"","b":[1.50,-0,1E+2,{"y":false,"z":null}]}'.encode()


def test_large_bodies_are_compared_byte_by_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = b'{"a":"%b"}' % (b"x" * (CANONICAL_BYTES - 8))
    spaced = plain + b" "
    assert len(plain) == CANONICAL_BYTES
    assert key(plain) != key(spaced)
    assert key(spaced) == key(bytes(bytearray(spaced)))
    # Even with a limit that moves, a large body is never mistaken for a small one.
    before = key(plain)
    monkeypatch.setattr(module, "CANONICAL_BYTES", 0)
    assert key(plain) != before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=15,
)


def shuffled(value: Any) -> Any:
    """Return an equal value whose objects have their members the other way round."""
    if isinstance(value, dict):
        return {name: shuffled(each) for name, each in reversed(value.items())}
    return [shuffled(each) for each in value] if isinstance(value, list) else value


@given(JSON)
def test_the_canonical_form_means_the_same_and_is_its_own(value: Any) -> None:
    form = canonical(json.dumps(value).encode())
    assert form is not None
    assert json.loads(form) == value
    assert canonical(form) == form
    assert canonical(json.dumps(shuffled(value), ensure_ascii=False, indent=1).encode()) == form


@given(JSON, JSON)
def test_only_equal_texts_share_a_form(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    forms = [canonical(json.dumps(each).encode()) for each in (one, other)]
    assert (forms[0] == forms[1]) == same
