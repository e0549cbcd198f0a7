"""Signatures are right exactly where botocore makes the same ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from gateway.core.aws_signature import (
    LIFETIME,
    AwsSignature,
    is_signed,
    is_timely,
    read_signature,
    secret_of,
)

ROOT = "0123456789abcdef0123456789abcdef"
KEY_ID = "GWAKEXAMPLE123456789"
SECRET = secret_of(ROOT, KEY_ID)
BODY = b'{"messages":[]}'
PATH = "/model/anthropic.claude-v1%3A0/converse"

Headers = dict[bytes, bytes]


def sign(
    path: str = PATH,
    *,
    method: str = "POST",
    body: bytes = BODY,
    headers: dict[str, str] | None = None,
    secret: str = SECRET,
    service: str = "bedrock",
    token: str | None = None,
) -> Headers:
    request: Any = AWSRequest(
        method, f"http://gw.example.com:8080{path}", data=body, headers=headers or {}
    )
    SigV4Auth(Credentials(KEY_ID, secret, token), service, "eu-west-1").add_auth(request)
    sent = {"host": "gw.example.com:8080", **request.headers}
    return {name.lower().encode(): value.encode("latin-1") for name, value in sent.items()}


def checked(
    headers: Headers,
    path: str = PATH,
    *,
    method: str = "POST",
    body: bytes = BODY,
    secret: str = SECRET,
) -> bool:
    signature = read_signature(headers)
    assert signature is not None
    split = urlsplit(path)
    asked = (split.path.encode(), split.query.encode(), list(headers.items()), body)
    return is_signed(signature, secret, "bedrock", method, *asked)


PATHS = [
    PATH,
    "/model/eu.amazon.nova-lite-v1%3A0/converse-stream",
    f"/model/{quote('arn:aws:bedrock:eu-west-1:1:inference-profile/x', safe='')}/converse",
    "/model/my-model/converse?b=2&a=1&c",
    f"/model/{quote('münchen ~x', safe='')}/converse",
]


@pytest.mark.parametrize("path", PATHS)
def test_what_botocore_signs_is_right(path: str) -> None:
    assert checked(sign(path), path)


def test_what_else_is_signed_is_right() -> None:
    assert checked(
        sign(method="GET", body=b"", path="/foundation-models"),
        "/foundation-models",
        method="GET",
        body=b"",
    )
    odd = {"content-type": "application/json", "x-amz-meta": "  two   words  ", "accept": "*/*"}
    assert checked(sign(headers=odd))
    assert checked(sign(token="of-a-session"))
    # A payload that is not signed is said to be so, in a header that is.
    assert checked(sign(headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}), body=b"other")


def changed(headers: Headers, name: bytes, old: bytes, new: bytes) -> Headers:
    assert old in headers[name]
    return {**headers, name: headers[name].replace(old, new)}


def test_what_was_changed_on_the_way_is_wrong() -> None:
    headers = sign(headers={"content-type": "application/json"})
    assert checked(headers)
    assert not checked(headers, body=BODY + b" ")
    assert not checked(headers, method="PUT")
    assert not checked(headers, PATH.replace("v1", "v2"))
    assert not checked(headers, f"{PATH}?x=1")
    assert not checked(headers, secret=secret_of(ROOT, "GWAKEXAMPLE12345678X"))
    assert not checked(headers, secret=secret_of(ROOT[::-1], KEY_ID))
    assert not checked(changed(headers, b"host", b"gw.", b"other."))
    assert not checked(changed(headers, b"content-type", b"json", b"xml"))
    assert not checked(changed(headers, b"authorization", b"eu-west-1", b"us-east-1"))
    moment = headers[b"x-amz-date"]
    assert not checked({**headers, b"x-amz-date": moment[:9] + b"000001Z"})
    assert not checked({**headers, b"x-amz-content-sha256": b"0" * 64})


def test_a_signature_must_hold_for_one_place_and_time_and_for_bedrock() -> None:
    assert not checked(sign(service="s3"))
    for name in (b"host;", b"x-amz-date"):
        headers = sign()
        assert not checked(changed(headers, b"authorization", name, b""))


@pytest.mark.parametrize(
    "header",
    [
        b"Bearer AWS4-HMAC-SHA256",
        b"AWS4-HMAC-SHA256",
        b"AWS4-HMAC-SHA256 Credential=x",
        b"AWS4-HMAC-SHA256 Credential=%s/20260101/eu/bedrock/aws4_request, SignedHeaders=host, "
        b"Signature=zz" % KEY_ID.encode(),
        b"AWS4-ECDSA-P256-SHA256 Credential=a",
        b"AWS4-HMAC-SHA256 " + b"Credential=" * 5000,
    ],
)
def test_what_is_no_signature(header: bytes) -> None:
    assert read_signature({b"authorization": header, b"x-amz-date": b"20260101T000000Z"}) is None


def test_the_day_of_the_scope_is_that_of_the_time() -> None:
    headers = sign()
    assert read_signature({**headers, b"x-amz-date": b"20200101T000000Z"}) is None
    del headers[b"x-amz-date"]
    assert read_signature(headers) is None


@pytest.mark.parametrize(
    ("time", "after", "timely"),
    [
        ("20260101T000000Z", 0, True),
        ("20260101T000000Z", LIFETIME, True),
        ("20260101T000000Z", -LIFETIME, True),
        ("20260101T000000Z", LIFETIME + 1, False),
        ("20260101T000000Z", -LIFETIME - 1, False),
        ("20260101T996000Z", 0, False),
        ("20260101", 0, False),
    ],
)
def test_a_signature_holds_for_five_minutes(time: str, after: int, timely: bool) -> None:
    epoch = datetime(2026, 1, 1, tzinfo=UTC).timestamp() + after
    signature = AwsSignature(KEY_ID, time, "", "bedrock", (), "")
    assert is_timely(signature, epoch) == timely


def test_secrets_follow_from_the_id_and_look_like_amazons() -> None:
    assert len(SECRET) == 40
    assert secret_of(ROOT, KEY_ID) == SECRET
    assert len({SECRET, secret_of(ROOT, "A" * 20), secret_of("x" * 32, KEY_ID)}) == 3
