from __future__ import annotations

import msgspec
import pytest

from gateway.core.state_server import StateAddress, StateServer, WrongAddress, state_address

RIGHT = {
    "redis://h": StateAddress("one", (("h", 6379),)),
    "valkey://h:1/3": StateAddress("one", (("h", 1),), database=3),
    "redis://h?db=7": StateAddress("one", (("h", 6379),), database=7),
    "redis://h/": StateAddress("one", (("h", 6379),)),
    "rediss://h": StateAddress("one", (("h", 6379),), tls=True),
    "valkeys://[::1]:7": StateAddress("one", (("::1", 7),), tls=True),
    "redis://u:p%40%2F@h": StateAddress("one", (("h", 6379),), username="u", password="p@/"),
    "redis://:p@h": StateAddress("one", (("h", 6379),), password="p"),
    "unix:///run/a%20b.sock?db=2": StateAddress("one", path="/run/a b.sock", database=2),
    "redis+sentinel://a,b:1/main/4": StateAddress(
        "sentinel", (("a", 26379), ("b", 1)), service="main", database=4
    ),
    "valkeys+cluster://a:1,b": StateAddress("cluster", (("a", 1), ("b", 6379)), tls=True),
}
WRONG = [
    *("", "redis", "redis:", "redis:h", "http://h", "redis+x://h", "redis+://h", "redis://"),
    *("redis://h:0", "redis://h:x", "redis://h:99999", "redis://a,b", "redis://h/x"),
    *("redis://h?x=1", "redis://h/-1", "redis://h/99999", "unix://run/x", "unix:///x?db=y"),
    *("redis+sentinel://a", "redis+sentinel://a/", "redis+cluster://a/1", "redis+cluster://a,,b"),
]


@pytest.mark.parametrize("url", RIGHT)
def test_addresses(url: str) -> None:
    assert state_address(url) == RIGHT[url]


@pytest.mark.parametrize("url", WRONG)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(WrongAddress):
        state_address(url)


def test_no_complaint_repeats_a_password() -> None:
    for url in ("redis://:secret@h:x", "redis://:secret@a,b", "http://:secret@h", "secret"):
        with pytest.raises(WrongAddress) as caught:
            state_address(url)
        assert "secret" not in str(caught.value)
    assert "secret" not in str(state_address("redis://:secret@h"))


@pytest.mark.parametrize("prefix", ["", "a b", "a{b", "}", "x" * 101])
def test_what_is_no_prefix(prefix: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"prefix": prefix}, StateServer)
