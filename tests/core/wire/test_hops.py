from __future__ import annotations

import pytest

from gateway.core.wire.hops import HOP, MOST_HOPS, chain_of, is_loop

A, B = b"a" * 16, b"0123456789abcdef"


@pytest.mark.parametrize(
    ("values", "chain"),
    [
        ([], b""),
        ([A], A),
        ([A, B], A + b"," + B),
        ([A + b", " + B], A + b"," + B),
        ([A, A, A], A),
        ([b"nonsense"], b""),
        ([b"\r\nevil: x"], b""),
        ([A + b"x"], A),
        ([A + A], b""),
        ([b"x" * 5000 + A], b""),
    ],
)
def test_the_gateways_that_are_named(values: list[bytes], chain: bytes) -> None:
    pairs = [(b"host", A), *((HOP, value) for value in values)]
    assert chain_of(pairs) == chain


def test_what_is_a_loop() -> None:
    assert is_loop(A, A)
    assert is_loop(B + b"," + A, A)
    assert not is_loop(B, A)
    assert not is_loop(B, b"")
    others = b",".join(b"%016x" % number for number in range(MOST_HOPS))
    assert not is_loop(others, A)
    assert is_loop(others + b"," + B, A)
