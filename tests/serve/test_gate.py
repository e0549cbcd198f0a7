"""What gets in and what is refused, told by whole connections."""

from __future__ import annotations

import json
import re

import pytest
import trio

from gateway.serve import gate
from gateway.serve.policy import ServingPolicy

from .harness import echo, visit

HOST = b"host: test\r\n"


def get(target: bytes = b"/", *, fields: bytes = HOST, version: bytes = b"1.1") -> bytes:
    return b"GET " + target + b" HTTP/" + version + b"\r\n" + fields + b"\r\n"


LET_IN = {
    "plain": get(),
    "query": get(b"/v1/models?limit=10&x=[]|{}"),
    "escapes": get(b"/v1/models/a%2Fb%20c"),
    "http/1.0 without host": get(fields=b"", version=b"1.0"),
    "host and port": get(fields=b"host: example.com:8080\r\n"),
    "ipv6 host": get(fields=b"Host: [::1]:80\r\n"),
    "underscore host": get(fields=b"Host: llm_gateway\r\n"),
    "empty host": get(fields=b"Host:\r\n"),
    "tab in a value": get(fields=HOST + b"x: a\tb\r\n"),
    "latin-1 in a value": get(fields=HOST + b"x: caf\xe9\r\n"),
    "options *": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "stray crlf before": b"\r\n\r\n" + get(),
    "upgrade to h2c": get(
        fields=HOST
        + b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AA\r\n"
    ),
    "upgrade to websocket": get(
        fields=HOST + b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: eA==\r\n"
    ),
    "100 headers": get(fields=HOST + b"x: y\r\n" * 99),
    "32 KiB": get(fields=HOST + b"x: " + b"y" * (32768 - 35) + b"\r\n"),
    "underscores": get(fields=HOST + b"session_id: 1\r\n"),
    "like nothing that decides": get(fields=HOST + b"x-content-length: 1\r\nhost-name: a\r\n"),
    "zeros before a length": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length:  00 \r\n\r\n",
}

REFUSED = {
    "length and encoding": (400, HOST + b"content-length: 3\r\ntransfer-encoding: chunked\r\n"),
    "encoding and length": (400, HOST + b"transfer-encoding: chunked\r\ncontent-length: 3\r\n"),
    "two lengths": (400, HOST + b"content-length: 3\r\ncontent-length: 4\r\n"),
    "signed length": (400, HOST + b"content-length: +3\r\n"),
    "unknown encoding": (501, HOST + b"transfer-encoding: gzip, chunked\r\n"),
    "two encodings": (501, HOST + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"),
    "no host": (400, b""),
    "two hosts": (400, HOST * 2),
    "two keys": (400, HOST + b"authorization: Bearer a\r\nAuthorization: Bearer b\r\n"),
    "a key twice": (400, HOST + b"authorization: Bearer a\r\n" * 2),
    "path in host": (400, b"host: a/?x=\r\n"),
    "query in host": (400, b"host: a?x=\r\n"),
    "fragment in host": (400, b"host: a#b\r\n"),
    "user in host": (400, b"host: a@b\r\n"),
    "space in host": (400, b"host: a b\r\n"),
    "two hosts in one": (400, b"host: a, b\r\n"),
    "port that is none": (400, b"host: a:x\r\n"),
    "control byte": (400, HOST + b"x: a\x01b\r\n"),
    "escape byte": (400, HOST + b"x: a\x1bb\r\n"),
    "delete byte": (400, HOST + b"x: a\x7fb\r\n"),
    "nul": (400, HOST + b"x: a\x00b\r\n"),
    "bare lf": (400, HOST + b"x: a\ny: b\r\n"),
    "bare cr": (400, HOST + b"x: a\ry: b\r\n"),
    "space before colon": (400, HOST + b"x : a\r\n"),
    "no colon": (400, HOST + b"nonsense\r\n"),
    "continuation first": (400, b" x: a\r\n" + HOST),
    "same length twice": (400, HOST + b"content-length: 0\r\n" * 2),
    "same length in a list": (400, HOST + b"Content-Length: 1000,1000\r\n"),
    "list of one length": (400, HOST + b"content-length: 1000,\r\n"),
    "no length": (400, HOST + b"content-length:\r\n"),
    "length in words": (400, HOST + b"content-length: 0x5\r\n"),
    "length with an underscore": (400, HOST + b"content-length: 1_0\r\n"),
    "length of 30 digits": (400, HOST + b"content-length: " + b"0" * 29 + b"1\r\n"),
    "length in other digits": (400, HOST + b"content-length: \xb2\r\n"),
    "Content_Length": (400, HOST + b"Content_Length: 5\r\n"),
    "Transfer_Encoding": (400, HOST + b"Transfer_Encoding: chunked\r\n"),
    "ContentLength": (400, HOST + b"ContentLength: 5\r\n"),
    "Content--Length": (400, HOST + b"Content--Length: 5\r\n"),
    "Content.Length": (400, HOST + b"Content.Length: 5\r\n"),
    "Transfer-Encoding_": (400, HOST + b"Transfer-Encoding_: chunked\r\n"),
    "X_Api_Key": (400, HOST + b"X_Api_Key: sk-1\r\n"),
    "_Authorization": (400, HOST + b"_Authorization: Bearer sk-1\r\n"),
    "Host_": (400, HOST + b"Host_: evil\r\n"),
    "X_Forwarded_For": (400, HOST + b"X_Forwarded_For: 1.1.1.1\r\n"),
    "continued line": (400, HOST + b"x: a\r\n b\r\n"),
    "line that begins with a tab": (400, HOST + b"x: a\r\n\ttransfer-encoding: chunked\r\n"),
    "blank line that is none": (400, HOST + b"x: a\r\n \r\ny: b\r\n"),
    "101 headers": (431, HOST + b"x: y\r\n" * 100),
    "1800 headers": (431, HOST + b"x: y\r\n" * 1800),
    "one large header": (431, HOST + b"x: " + b"y" * 32768 + b"\r\n"),
}

REFUSED_RAW = {
    "absolute target": (400, get(b"http://test/")),
    "authority target": (400, get(b"@evil")),
    "no slash": (400, get(b"v1")),
    "asterisk": (400, get(b"*")),
    "fragment": (400, get(b"/a#b")),
    "space in target": (400, get(b"/a b")),
    "control in target": (400, get(b"/a\x01b")),
    "non-ascii target": (400, get(b"/caf\xc3\xa9")),
    "connect": (501, b"CONNECT test:443 HTTP/1.1\r\n" + HOST + b"\r\n"),
    "small letters": (501, b"get / HTTP/1.1\r\n" + HOST + b"\r\n"),
    "http/9.9": (505, get(version=b"9.9")),
    "http/1.2": (505, get(version=b"1.2")),
    "http/2 preface": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "encoding in 1.0": (400, get(fields=HOST + b"transfer-encoding: chunked\r\n", version=b"1.0")),
    "lf only": (400, b"GET / HTTP/1.1\nhost: test\n\n"),
    "http/0.9": (400, b"GET /\r\n\r\n"),
    "two spaces": (400, b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n"),
    "tls": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "endless line": (431, b"GET /" + b"a" * 70000),
}

ALL_REFUSED = {
    **{name: (status, get(fields=fields)) for name, (status, fields) in REFUSED.items()},
    **REFUSED_RAW,
}


@pytest.mark.parametrize("raw", LET_IN.values(), ids=LET_IN.keys())
async def test_lets_in(raw: bytes) -> None:
    async with visit(echo) as guest:
        await guest.client.send_all(raw)
        got = bytes(await guest.client.receive_some())
        assert got.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(("status", "raw"), ALL_REFUSED.values(), ids=ALL_REFUSED.keys())
async def test_refuses(status: int, raw: bytes, autojump_clock: trio.testing.MockClock) -> None:
    async with visit(echo) as guest:
        # Nothing behind a refused request may be taken for a request.
        await guest.client.send_all(raw + get(b"/smuggled"))
        head, _, body = (await guest.read_all()).partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        assert lines[0].startswith(f"HTTP/1.1 {status} ")
        fields = dict(line.split(": ", 1) for line in lines[1:])
        assert fields["connection"] == "close"
        assert int(fields["content-length"]) == len(body)
        assert re.fullmatch(r"req_[0-9a-f]{32}", fields["x-request-id"])
        if re.match(rb"[A-Za-z]+ /", raw):
            # In the shape of the API whose path was asked for.
            assert fields["content-type"] == "application/json"
            assert re.fullmatch(r"[^\n{}]+", json.loads(body)["error"]["message"])
        else:
            # One line, a sentence: which API's errors the caller would understand is not known.
            assert fields["content-type"] == "text/plain; charset=utf-8"
            assert re.fullmatch(r"[^\n{}]+\n", body.decode())


async def test_limits_come_from_the_policy() -> None:
    policy = ServingPolicy(max_headers=2, max_header_bytes=1000)
    for fields in (HOST + b"x: y\r\n" * 2, HOST + b"x: " + b"y" * 1000 + b"\r\n"):
        async with visit(echo, policy=policy) as guest:
            await guest.client.send_all(get(fields=fields))
            assert (await guest.client.receive_some()).startswith(b"HTTP/1.1 431 ")


def test_finds_the_end_of_a_head_on_every_split() -> None:
    whole = bytearray(get() + b"body")
    end = len(whole) - 4
    for searched in range(end):
        assert gate.find_head_end(whole, searched) == end
    for known in range(end):
        assert gate.find_head_end(whole[:known], 0) == -1


def test_a_head_request_is_refused_without_a_body() -> None:
    answer = gate.render(gate.APP_FAILED, "req_1", date=[], bodiless=True)
    assert answer.endswith(b"\r\n\r\n")
    assert b"content-length: 0" not in answer


@pytest.mark.parametrize(
    "line",
    [
        b"authorization: Bearer sk-secret\x00",
        b"authorization: Bearer sk-secret\x01",
        b"authorization : Bearer sk-secret",
        b"authorization\x80: Bearer sk-secret",
        b"authorization Bearer sk-secret",
        b"x-api-key: sk-secret\x7f",
        b"x-api-key: sk-secret\r\n sk-secret",
        b"x_api_key: sk-secret",
        b"authorization: Bearer\rsk-secret",
        b": sk-secret",
        b"content-length: sk-secret",
        b"transfer-encoding: sk-secret",
        b"expect: sk-secret",
        b"host: sk-secret/",
    ],
)
async def test_no_refusal_quotes_a_head(line: bytes) -> None:
    async with visit(echo) as guest:
        await guest.client.send_all(get(fields=HOST + line + b"\r\n"))
        answer = await guest.read_all()
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ", b"HTTP/1.1 417 "))
    assert b"connection: close" in answer
    assert b"sk-secret" not in answer


async def test_no_refusal_quotes_a_target() -> None:
    async with visit(echo) as guest:
        await guest.client.send_all(b"GET /?key=sk-secret\x01 HTTP/1.1\r\n" + HOST + b"\r\n")
        assert b"sk-secret" not in await guest.read_all()
