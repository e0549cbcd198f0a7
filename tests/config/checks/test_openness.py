from __future__ import annotations

import pytest

from gateway.config.checks.openness import open_to_network
from gateway.config.listener.server import Server


@pytest.mark.parametrize(
    ("bind", "noted"),
    [
        ("0.0.0.0:8080", True),
        ("[::]:8080", True),
        ("10.0.0.7:80", True),
        ("example.com:80", True),
        ("127.0.0.1:8080", False),
        ("127.9.9.9:8080", False),
        ("localhost:8080", False),
        ("[::1]:8080", False),
        ("unix:/run/g.sock", False),
    ],
)
def test_an_open_address_without_tokens(bind: str, noted: bool) -> None:
    assert (open_to_network(Server(bind=bind)) is not None) == noted
    assert open_to_network(Server(bind=bind, open=True)) is None
