"""Requests signed by Signature Version 4, checked as Amazon's services check them.

docs.aws.amazon.com/IAM, "Create a signed AWS API request". The secret is never sent: both sides
compute a signature of the request with it. Where signer and checker make different texts of the
same request they do not agree, so nothing is normalised here that signers do not normalise.

A pair is no stored secret: the secret of each id follows from one secret of the gateway, so there
is nothing to keep for a pair but its id.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

import msgspec

ALGORITHM: Final = b"AWS4-HMAC-SHA256"
# Seconds that a signature holds, on both sides of its time, as at Amazon.
LIFETIME: Final = 300
_SECRET_CHARS: Final = 40
_UNSIGNED: Final = "UNSIGNED-PAYLOAD"
# Ids are as long as Amazon's own (docs.aws.amazon.com/STS, "Credentials").
_PARTS: Final = re.compile(
    r"Credential=(?P<id>[A-Z0-9]{16,128})/(?P<day>[0-9]{8})/(?P<region>[a-z0-9-]{1,40})"
    r"/(?P<service>[a-z0-9-]{1,40})/aws4_request"
    r"\s*,\s*SignedHeaders=(?P<names>[!-+\--~]{1,2000})\s*,\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_TIME: Final = "%Y%m%dT%H%M%SZ"


class AwsSignature(msgspec.Struct, frozen=True):
    """What a signed request says of itself."""

    key_id: str
    time: str
    scope: str
    service: str
    names: tuple[str, ...]
    signature: str


def secret_of(root: str, key_id: str) -> str:
    """Return the secret access key of the pair with `key_id`."""
    drawn = hmac.digest(root.encode(), b"aws:" + key_id.encode(), "sha256")
    return base64.b64encode(drawn).decode("ascii")[:_SECRET_CHARS]


def read_signature(headers: Mapping[bytes, bytes]) -> AwsSignature | None:
    """Return how a request with `headers` is signed; None if it isn't, or in no way known here."""
    scheme, _, rest = headers.get(b"authorization", b"").partition(b" ")
    if scheme != ALGORITHM:
        return None
    found = _PARTS.fullmatch(rest.decode("latin-1").strip())
    moment = headers.get(b"x-amz-date", b"").decode("latin-1")
    if found is None or moment[:8] != found["day"]:
        return None
    scope = f"{found['day']}/{found['region']}/{found['service']}/aws4_request"
    names = tuple(found["names"].split(";"))
    return AwsSignature(found["id"], moment, scope, found["service"], names, found["signature"])


def is_timely(signature: AwsSignature, epoch: float) -> bool:
    """Say whether the signature was made within `LIFETIME` of `epoch`, in Unix time."""
    try:
        made = datetime.strptime(signature.time, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return False
    return abs(made.timestamp() - epoch) <= LIFETIME


def is_signed(
    signature: AwsSignature,
    secret: str,
    service: str,
    method: str,
    path: bytes,
    query: bytes,
    headers: Iterable[tuple[bytes, bytes]],
    body: bytes,
) -> bool:
    """Say whether the request was signed with `secret`, for `service`. Takes constant time.

    `path` and `query` are as they came, header names in lower case.
    """
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.decode("latin-1"), []).append(
            " ".join(value.decode("latin-1").split())
        )
    digest = hashlib.sha256(body).hexdigest()
    said = found.get("x-amz-content-sha256", [digest])[0]
    if said not in (digest, _UNSIGNED):
        return False
    names = signature.names
    # RFC 9110's Host and the time: without them a signature would do elsewhere, or for ever.
    if "host" not in names or "x-amz-date" not in names or signature.service != service:
        return False
    lines = [f"{name}:{','.join(found.get(name, []))}\n" for name in names]
    canonical = "\n".join(
        [
            method,
            quote(path, safe="/~"),
            _canonical_query(query),
            "".join(lines),
            ";".join(names),
            said,
        ]
    )
    text = "\n".join(
        [
            ALGORITHM.decode("ascii"),
            signature.time,
            signature.scope,
            hashlib.sha256(canonical.encode("latin-1")).hexdigest(),
        ]
    )
    key = f"AWS4{secret}".encode()
    for step in signature.scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    right = hmac.digest(key, text.encode("latin-1"), "sha256").hex()
    return hmac.compare_digest(right, signature.signature)


def _canonical_query(query: bytes) -> str:
    pairs = [each.partition("=") for each in query.decode("latin-1").split("&") if each]
    return "&".join(f"{name}={value}" for name, _, value in sorted(pairs))
