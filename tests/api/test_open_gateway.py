from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.api.open_gateway import UnsupportedContent, check_open
from gateway.config.load import parse
from gateway.config.snapshot import Snapshot
from gateway.errors import GatewayError, PermissionDenied

JSON = {b"content-type": b"application/json"}
LOCAL = ("127.0.0.1", 8080)


def snapshot(server: str = "", cors: str = "") -> Snapshot:
    config = parse(
        f'[server]\n{server}\n[cors]\n{cors}\n[providers.d]\nkind = "demo"\n'
        '[[models]]\nname = "m"\nroutes = [{ provider = "d", model = "x" }]\n',
        "test",
        {},
    )
    return msgspec.structs.replace(EMPTY, server=config.server, cors=config.cors)


EMPTY = Snapshot(models=Any, callers={}, server=Any, created=0)  # type: ignore[arg-type]


def refused(
    headers: dict[bytes, bytes],
    *,
    method: str = "POST",
    at: tuple[str, int] | None = LOCAL,
    server: str = "",
    cors: str = "",
) -> GatewayError | None:
    try:
        check_open(snapshot(server, cors), {"method": method, "server": at}, headers)
    except GatewayError as exc:
        return exc
    return None


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_answered(address: str) -> None:
    assert refused(JSON, at=(address, 80)) is None


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "192.168.1.5", "169.254.1.1", "::", "fe80::1%eth0", "2001:db8::1"]
)
def test_other_addresses_are_not(address: str) -> None:
    error = refused(JSON, at=(address, 80))
    assert (error.status, error.code) == (403, "no_tokens") if error else False
    assert refused(JSON, at=(address, 80), server="open = true") is None


def test_a_unix_socket_is_answered() -> None:
    assert refused(JSON | {b"host": b"evil.example"}, at=None) is None


@pytest.mark.parametrize(
    "host",
    [
        *(b"localhost", b"LOCALHOST:8080", b"127.0.0.1:1", b"[::1]:8080", b"gateway", b""),
        *(b"app.localhost", b"localhost.", b"192.168.1.5:80"),
    ],
)
def test_names_that_no_attacker_has(host: bytes) -> None:
    assert refused(JSON | {b"host": host}) is None


@pytest.mark.parametrize(
    "host",
    [
        *(b"evil.example", b"EVIL.example:8080", b"localhost.evil.com", b"127.0.0.1.nip.io"),
        *(b"evil.com.", b"localhost.com", b"1.2.3.4.5", b"xlocalhost.org", b"a.test.com"),
    ],
)
def test_names_that_resolve_to_loopback(host: bytes) -> None:
    for method in ("GET", "POST"):
        error = refused(JSON | {b"host": host}, method=method)
        assert error is not None
        assert error.code == "host_not_allowed"


@pytest.mark.parametrize(
    "headers",
    [
        {b"origin": b"https://evil.example"},
        {b"origin": b"null"},
        {b"origin": b""},
        {b"origin": b"http://localhost:3000"},
        {b"origin": b"http://127.0.0.1:8080.evil.example"},
        {b"origin": b"file://"},
        {b"sec-fetch-site": b"cross-site"},
        {b"sec-fetch-site": b"same-site"},
        {b"sec-fetch-site": b"cross-site", b"sec-fetch-mode": b"navigate"},
    ],
)
def test_other_pages_may_not_post(headers: dict[bytes, bytes]) -> None:
    for open_ in ("", "open = true"):
        error = refused(JSON | {b"host": b"localhost:8080"} | headers, server=open_)
        assert isinstance(error, PermissionDenied)
        assert error.code == "origin_not_allowed"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"origin": b"http://localhost:8080"},
        {b"origin": b"https://LOCALHOST:8080"},
        {b"sec-fetch-site": b"same-origin"},
        {b"sec-fetch-site": b"none"},
        # What Node's fetch sends.
        {b"sec-fetch-mode": b"cors"},
    ],
)
def test_programs_and_own_pages_may(headers: dict[bytes, bytes]) -> None:
    assert refused(JSON | {b"host": b"localhost:8080"} | headers) is None


def test_a_link_may_be_followed() -> None:
    headers = {b"sec-fetch-site": b"cross-site", b"sec-fetch-mode": b"navigate"}
    assert refused(headers, method="GET") is None
    assert refused(headers | {b"sec-fetch-mode": b"no-cors"}, method="GET") is not None


def test_pages_that_cors_allows() -> None:
    headers = JSON | {b"origin": b"https://chat.example.com"}
    assert refused(headers, cors='allow_origins = ["https://chat.example.com"]') is None
    assert refused(headers, cors='allow_origins = ["*"]') is None
    assert refused(headers, cors='allow_origins = ["https://other.example.com"]') is not None


@pytest.mark.parametrize(
    "kind",
    [
        *(b"text/plain", b"TEXT/Plain;charset=UTF-8", b"text/plain; application/json"),
        *(b" text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x"),
        b"text/plain, application/json",
    ],
)
def test_what_forms_can_send_is_not_taken(kind: bytes) -> None:
    assert isinstance(refused({b"content-type": kind}), UnsupportedContent)
    assert isinstance(refused({b"content-type": kind}, server="open = true"), UnsupportedContent)
    assert refused({b"content-type": kind}, method="GET") is None


@pytest.mark.parametrize("kind", [b"application/json; charset=utf-8", b"application/vnd.x+json"])
def test_json_is(kind: bytes) -> None:
    assert refused({b"content-type": kind}) is None
