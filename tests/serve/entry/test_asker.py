"""What first bytes tell."""

import pytest

from gateway.serve.entry.asker import asker, body_length, is_probe

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"


def test_who_asks_is_told_by_the_key_and_not_by_its_spelling() -> None:
    names = {
        asker(HEAD + line + b"\r\n\r\n", "192.0.2.1")
        for line in (
            b"Authorization: Bearer sk-1",
            b"authorization:Bearer sk-1",
            b"AUTHORIZATION: \t Bearer sk-1 ",
        )
    }
    assert len(names) == 1
    assert "sk-1" not in names.pop()
    assert asker(HEAD + b"X-Api-Key: sk-1\r\n\r\n", "") != asker(HEAD + b"X-Api-Key: sk-2\r\n", "")


@pytest.mark.parametrize("data", [b"", HEAD + b"\r\n", b"\x16\x03\x01", b"GET /a?authorization: b"])
def test_without_a_key_the_address_tells(data: bytes) -> None:
    assert asker(data, "192.0.2.1") == "192.0.2.1"


def test_an_unfinished_head_has_a_name_too() -> None:
    assert asker(HEAD + b"authorization: Bearer sk-", "x") != "x"


def test_health_probes_are_known() -> None:
    assert is_probe(b"GET /health/live HTTP/1.1\r\n")
    assert is_probe(b"HEAD /health/ready HTTP/1.1\r\n")
    assert not is_probe(b"GET /healthy HTTP/1.1\r\n")
    assert not is_probe(b"POST /health/live HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        (b"", 0),
        (b"content-length: 12\r\n", 12),
        (b"Content-Length:\t12 \r\n", 12),
        (b"connection: keep-alive\r\ncontent-length: 3\r\n", 3),
        # What only a parser should judge.
        (b"content-length: 12\r\ncontent-length: 12\r\n", None),
        (b"content-length: 12, 12\r\n", None),
        (b"content-length: +12\r\n", None),
        (b"content-length: 1_2\r\n", None),
        (b"content-length: \xb2\r\n", None),
        (b"content-length:\r\n", None),
        (b"content-length : 12\r\n", None),
        (b" content-length: 12\r\n", None),
        (b"content-length: 9999999999999999\r\n", None),
        (b"content-length: 12\r\ntransfer-encoding: chunked\r\n", None),
        (b"Transfer-Encoding: chunked\r\n", None),
        (b"expect: 100-continue\r\n", None),
        (b"connection: close\r\n", None),
        (b"connection: upgrade\r\n", None),
    ],
)
def test_a_bodys_length_is_told_only_where_all_would_agree(
    fields: bytes, length: int | None
) -> None:
    assert body_length(HEAD + fields + b"\r\n") == length


def test_http_1_0_ends_its_connection_by_itself() -> None:
    assert body_length(b"GET / HTTP/1.0\r\n\r\n") is None


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (HEAD + b"connection: close\r\ncontent-length: 3\r\n\r\n", 3),
        (b"GET / HTTP/1.0\r\n\r\n", 0),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n", None),
        (HEAD + b"content-length: 3\r\nexpect: 100-continue\r\n\r\n", None),
    ],
)
def test_the_last_request_may_say_that_it_is(head: bytes, length: int | None) -> None:
    assert body_length(head, last=True) == length
