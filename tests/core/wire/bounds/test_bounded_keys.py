from __future__ import annotations

import msgspec
import pytest

from gateway.core.wire.bounds.bounded_keys import decode_bounded
from gateway.core.wire.json_scan import MAX_MEMBERS, TooManyMembers


def body(count: int, name: str = "k{}") -> bytes:
    return b"{%b}" % b",".join(b'"%b":%d' % (name.format(n).encode(), n) for n in range(count))


def test_members() -> None:
    found = decode_bounded(b'{"a":1,"b": [2],"a":3,"\\u0063":"x"}')
    assert {key: bytes(raw) for key, raw in found.items()} == {"a": b"3", "b": b"[2]", "c": b'"x"'}
    assert len(decode_bounded(body(MAX_MEMBERS))) == MAX_MEMBERS


@pytest.mark.parametrize("name", ["k{}", "k"])
def test_too_many_are_told_while_they_are_read(name: str) -> None:
    # What follows is not even JSON.
    data = body(MAX_MEMBERS + 1, name)[:-1] + b",?"
    with pytest.raises(TooManyMembers):
        decode_bounded(data)


def test_other_faults_are_told_as_msgspec_does() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_bounded(b"[]")
    with pytest.raises(msgspec.DecodeError):
        decode_bounded(b'{"a":')
