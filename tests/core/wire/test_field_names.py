from __future__ import annotations

import pytest

from gateway.core.wire.field_names import LOOK_ALIKES


@pytest.mark.parametrize(
    "name",
    [
        *(b"content_length", b"contentlength", b"content--length", b"content-length_"),
        *(b"transfer_encoding", b"transfer.encoding", b"h-o-s-t", b"_host", b"t_e"),
        *(b"authorization_", b"x_api_key", b"xapikey", b"x-forwarded_for"),
    ],
)
def test_like_one_that_decides(name: bytes) -> None:
    assert LOOK_ALIKES[name]


@pytest.mark.parametrize(
    "name",
    [
        *(b"content-length", b"transfer-encoding", b"host", b"authorization", b"x-api-key", b"te"),
        *(b"session_id", b"x-host", b"content-type", b"host-name", b"x-content-length", b"-"),
    ],
)
def test_not_like_one_that_decides(name: bytes) -> None:
    assert not LOOK_ALIKES[name]


def test_what_is_remembered_is_bounded() -> None:
    for number in range(3000):
        assert not LOOK_ALIKES[b"x%d" % number]
    assert len(LOOK_ALIKES) <= 1024
