"""Commands on pages name the address where models are served, which the pages' own may not be."""

from __future__ import annotations

import msgspec
import pytest

from gateway.admin.accounts.arrival import Arrival
from gateway.config.schema import Config
from gateway.dashboard.served_address import served_address

COMES = Arrival(address="10.0.0.9", secure=True, host="gw.example:9443", local=False)


@pytest.mark.parametrize(
    ("server", "admin", "host", "found"),
    [
        ("127.0.0.1:8080", "", "gw.example:9443", "https://gw.example:9443"),
        ("127.0.0.1:8080", "127.0.0.1:9090", "127.0.0.1:9090", "http://127.0.0.1:8080"),
        ("0.0.0.0:8080", "0.0.0.0:9090", "gw.example:9090", "http://gw.example:8080"),
        ("[::]:8080", "[::]:9090", "[2001:db8::1]:9090", "http://[2001:db8::1]:8080"),
        ("0.0.0.0:8080", "unix:/run/admin.sock", "", "http://localhost:8080"),
        ("unix:/run/gateway.sock", "127.0.0.1:9090", "127.0.0.1:9090", "http://localhost"),
    ],
)
def test_where_models_are_served(server: str, admin: str, host: str, found: str) -> None:
    config = Config()
    config = msgspec.structs.replace(
        config,
        server=msgspec.structs.replace(config.server, bind=server),
        admin=msgspec.structs.replace(config.admin, bind=admin),
    )
    assert served_address(config, msgspec.structs.replace(COMES, host=host)) == found
