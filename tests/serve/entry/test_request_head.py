from __future__ import annotations

import pytest

from gateway.serve.entry.request_head import AskedRequest, read_request
from gateway.serve.gate import HeadRefusal


def read(fields: bytes, line: bytes = b"POST /v1/x?y HTTP/1.1") -> AskedRequest | HeadRefusal:
    return read_request(line + b"\r\n" + fields + b"\r\n", 32768)


@pytest.mark.parametrize(
    ("fields", "parsed"),
    [
        (b"Host: a\r\ncontent-length: 5\r\n", False),
        (b"Host: a\r\n", False),
        (b"Host: a\r\ntransfer-encoding: chunked\r\n", True),
        (b"Host: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n", True),
    ],
)
def test_only_chunks_and_expectations_need_a_parser(fields: bytes, parsed: bool) -> None:
    asked = read(fields)
    assert isinstance(asked, AskedRequest)
    assert (asked.method, asked.target, asked.http_version) == (b"POST", b"/v1/x?y", b"1.1")
    assert (asked.parser is not None) == parsed
    assert asked.headers[0] == (b"host", b"a")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"Host: a b\r\n", 400),
        (b"Host: a\r\nContent_Length: 5\r\n", 400),
        (b"Host: a\r\nx y: 1\r\n", 400),
        (b"Host: a\r\nexpect: tea\r\n", 417),
        (b"x: y\r\n", 400),
    ],
)
def test_both_ways_are_judged(fields: bytes, status: int) -> None:
    refusal = read(fields)
    assert isinstance(refusal, HeadRefusal)
    assert refusal.status == status


def test_version_1_0_needs_no_host() -> None:
    asked = read(b"", b"GET / HTTP/1.0")
    assert isinstance(asked, AskedRequest)
    assert asked.http_version == b"1.0"
