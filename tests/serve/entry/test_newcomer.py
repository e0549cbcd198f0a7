"""A connection that waits without a task."""

from __future__ import annotations

import socket

import pytest

from gateway.serve.entry.newcomer import Newcomer


@pytest.mark.parametrize(
    ("left", "begun"), [(False, [b"GET"]), (True, [])], ids=["waits still", "has left"]
)
def test_is_begun_only_if_its_client_is_there(left: bool, begun: list[bytes]) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    found: list[bytes] = []
    newcomer = Newcomer(
        "a",
        0.0,
        ours,
        b"GET",
        lambda sock, data, waited: found.append(data),
        lambda sock, data: pytest.fail("it has its turn"),
    )
    if left:
        theirs.close()
    newcomer.call()
    assert found == begun
    assert (ours.fileno() < 0) == left
    ours.close()
    theirs.close()


def test_is_turned_away_with_what_it_has_sent() -> None:
    ours, theirs = socket.socketpair()
    found: list[bytes] = []
    with ours, theirs:
        Newcomer(
            "a",
            0.0,
            ours,
            b"GET",
            lambda sock, data, waited: pytest.fail("it has no turn"),
            lambda sock, data: found.append(data),
        ).turn_away()
    assert found == [b"GET"]
