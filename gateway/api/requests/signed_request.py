"""Requests of Amazon's SDKs: signed with a token's pair in place of showing its key.

The pair's secret is a key of the token as well (`config/callers.py`), so a request whose signature
names a pair is one with that key, if its signature is right. That is known when the body has been
read: it is a part of what is signed. Only requests whose body is read whole, before anybody is
asked, may be signed (`SIGNED_PATHS`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ...config.snapshot import Snapshot
from ...core.aws_signature import (
    ALGORITHM,
    AwsSignature,
    is_signed,
    is_timely,
    read_signature,
    secret_of,
)
from ...errors import AuthenticationFailed
from ...proxy.traffic.refused_keys import RefusedKeys
from ..request import has_body
from ..spoken_dialect import SIGNED_PATHS, SIGNED_SERVICE
from .served_request import Message, Receive, ServedRequest


def signed_request(
    snapshot: Snapshot | None,
    path: str,
    scope: Mapping[str, Any],
    headers: Mapping[bytes, bytes],
    receive: Receive,
    served: ServedRequest | None,
) -> SignedRequest | None:
    """Return what checks the signature of a request; None if it has none, or needs no key."""
    if not headers.get(b"authorization", b"").startswith(ALGORITHM):
        return None
    if snapshot is None or snapshot.open or not path.startswith(SIGNED_PATHS):
        return None
    return SignedRequest(scope, headers, snapshot.server.aws_secret, receive, served)


class SignedRequest:
    """Stands between the server and a client: hands on the body, the end of it once it is checked.

    `root` is the gateway's secret, "" if it has none. `receive` and what is called for in
    `ServedRequest` raise AuthenticationFailed.
    """

    def __init__(
        self,
        scope: Mapping[str, Any],
        headers: Mapping[bytes, bytes],
        root: str,
        receive: Receive,
        served: ServedRequest | None,
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._served = served
        self._signature = read_signature(headers) if root else None
        self._secret = "" if self._signature is None else secret_of(root, self._signature.key_id)
        self._pieces: list[bytes] = []

    def __repr__(self) -> str:
        return f"<SignedRequest of {self._signature and self._signature.key_id}>"

    def shown(
        self, headers: dict[bytes, bytes], refused: RefusedKeys, address: str | None
    ) -> dict[bytes, bytes]:
        """Return `headers` with the key. Raises AuthenticationFailed, and 429 for too many."""
        try:
            return {**headers, **self._begin(has_body=has_body(headers))}
        except AuthenticationFailed as exc:
            refused.refuse(exc, address)

    def _begin(self, *, has_body: bool) -> dict[bytes, bytes]:
        """Return the header that shows the key. Raises AuthenticationFailed."""
        if self._signature is None:
            raise AuthenticationFailed(
                "the signature of this request is not one that is read here; sign it with"
                " AWS4-HMAC-SHA256 and an access key that 'gateway tokens create --aws' made"
            )
        if not is_timely(self._signature, time.time()):
            raise AuthenticationFailed(
                "the signature is older than five minutes or from the future; sign the request"
                " again, or set the clock of the machine that does",
                code="signature_expired",
            )
        if self._scope["method"] != "POST":
            # Nobody reads the body of these, and so nobody would check what comes with one.
            self._check(self._signature, b"", has_body=has_body)
        elif not has_body:
            self._check(self._signature, b"")
        return {b"authorization": b"Bearer " + self._secret.encode("ascii")}

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and self._signature is not None:
            self._pieces.append(bytes(message.get("body", b"")))
            if not message.get("more_body", False):
                body, self._pieces = b"".join(self._pieces), []
                self._check(self._signature, body)
        return message

    def take_arrived(self) -> bytes | None:
        body = None if self._served is None else self._served.take_arrived()
        if body is not None and self._signature is not None:
            self._check(self._signature, body)
        return body

    def when_gone(self, call: Callable[[Message], None] | None) -> None:
        if self._served is not None:
            self._served.when_gone(call)

    def send_part(self, body: bytes) -> bool | None:
        return None if self._served is None else self._served.send_part(body)

    def _check(self, signature: AwsSignature, body: bytes, *, has_body: bool = False) -> None:
        scope = self._scope
        query = scope.get("query_string", b"")
        asked = (scope["method"], scope["raw_path"], query, scope["headers"], body)
        if has_body or not is_signed(signature, self._secret, SIGNED_SERVICE, *asked):
            raise AuthenticationFailed(
                "the signature is not that of this request and its access key; was the request"
                " changed on its way?",
                code="invalid_signature",
            )
