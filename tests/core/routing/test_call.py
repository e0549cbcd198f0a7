from __future__ import annotations

import pytest

from gateway.core.routing.call import Origin


@pytest.mark.parametrize(
    ("scheme", "host", "port", "authority"),
    [
        ("https", "api.openai.com", 443, b"api.openai.com"),
        ("http", "api.openai.com", 80, b"api.openai.com"),
        ("http", "api.openai.com", 443, b"api.openai.com:443"),
        ("https", "localhost", 8443, b"localhost:8443"),
        ("http", "127.0.0.1", 11434, b"127.0.0.1:11434"),
        ("http", "::1", 80, b"[::1]"),
        ("http", "::1", 8000, b"[::1]:8000"),
    ],
)
def test_authority(scheme: str, host: str, port: int, authority: bytes) -> None:
    assert Origin(scheme, host, port).authority == authority


def test_origins_are_told_apart_by_all_that_a_connection_depends_on() -> None:
    origin = Origin("https", "a", 443)
    others = [
        Origin("http", "a", 443),
        Origin("https", "b", 443),
        Origin("https", "a", 444),
        Origin("https", "a", 443, ca_file="ca.pem"),
    ]
    assert len({origin, Origin("https", "a", 443), *others}) == 5
