from __future__ import annotations

import random

import pytest

from gateway.core.wire.bounds.nesting import MAX_DEPTH, MOST_READ, nested_too_deeply
from gateway.core.wire.json_scan import InvalidJSON
from gateway.core.wire.splice import members


def levels(count: int, opening: bytes, inner: bytes) -> bytes:
    closing = b"]" if opening.startswith(b"[") else b"}"
    return opening * count + inner + closing * count


@pytest.mark.parametrize(
    "opening", [b"[", b'{"a":', b'[1,"]]]",', b'{"\\"}":"}\\\\","b":', b"[{},\n"]
)
def test_the_bound_is_the_same_whatever_stands_between(opening: bytes) -> None:
    assert not nested_too_deeply(levels(MAX_DEPTH - 1, opening, b'{"x":"[[[["}'))
    assert nested_too_deeply(levels(MAX_DEPTH, opening, b'{"x":"]]]]"}'))
    wide = b"[" + b",".join([levels(MAX_DEPTH - 2, opening, b"0")] * 5)
    assert not nested_too_deeply(wide + b',{"last":1}]')
    assert nested_too_deeply(wide + b"," + levels(MAX_DEPTH, opening, b"0") + b"]")


def test_brackets_in_texts_are_no_levels() -> None:
    for text in (b"[" * 3000, b"[{\\\\" * 3000, b'\\"[' * 3000, b"[\\u005b" * 3000):
        assert not nested_too_deeply(b'{"x":"%b","y":[1]}' % text)


def test_it_counts_as_a_walk_over_the_bytes_does() -> None:
    chance = random.Random(7)
    atoms = (b'"]]"', b'"[{"', b'"\\\\"', b'"\\"["', b'""', b"1", b'"a\\n]"', b"[]", b"{}")

    def value(depth: int) -> bytes:
        if not depth or chance.random() < 0.2:
            return chance.choice(atoms)
        inner = [value(depth - 1) for _ in range(chance.randint(0, 3))]
        if chance.random() < 0.5:
            return b"[%b]" % b", ".join(inner)
        keys = (b"", b"[", b'\\"', b"}", b'\\\\\\"', b"\\\\")
        return b"{%b}" % b",".join(b'"%b":%b' % (chance.choice(keys), each) for each in inner)

    for _ in range(1000):
        most = chance.choice([3, 5, 8])
        data = value(chance.randint(1, 9))
        assert nested_too_deeply(data, most) == (depth_of(data) > most)


def depth_of(data: bytes) -> int:
    level = deepest = at = 0
    inside = False
    while at < len(data):
        this = data[at : at + 1]
        if this == b'"':
            inside = not inside
        elif inside:
            at += this == b"\\"
        else:
            level += (this in b"[{") - (this in b"]}")
            deepest = max(deepest, level)
        at += 1
    return deepest


def test_members_are_read_up_to_it() -> None:
    for most in (MAX_DEPTH, MOST_READ):
        assert len(members(b'{"a":%b}' % levels(most - 1, b"[", b""), most)) == 1
        for data in (b'{"a":%b}' % levels(most, b"[", b""), levels(most + 1, b'{"a":', b"1")):
            with pytest.raises(InvalidJSON, match="nested too deeply"):
                members(data, most)
