"""Calls signed by Signature Version 4 (docs.aws.amazon.com/IAM, "AWS Signature Version 4").

botocore does the arithmetic: plain computation, which knows no event loop. It is imported when the
first provider is described that has an access key, and takes 0.1 s.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any, Final, Protocol

import msgspec

from ...core.routing.call import Call, Origin
from ...core.routing.deployment import Credential, Prepare

# It logs what it signs, a session's token included.
logging.getLogger("botocore.auth").setLevel(logging.INFO)

_PORTS: Final = {"http": 80, "https": 443}
_SIGNED: Final = b"content-type"


class SigningToken(Protocol):
    """An access key that expires, as JSON (`account.py`)."""

    async def get(self) -> bytes: ...


class AccessKey(msgspec.Struct, frozen=True):
    """A key of an account or of a session; `token` is the session's."""

    id: str
    secret: str
    token: str | None = None

    def __repr__(self) -> str:
        # Without the secret: a traceback may show it, and so the log.
        return f"<AccessKey {self.id[:4]}...>"

    @property
    def digest(self) -> str:
        """Return what is known of the key without its being known."""
        text = "\n".join((self.id, self.secret, self.token or ""))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


_KEY: Final = msgspec.json.Decoder(AccessKey)


def signer(key: AccessKey, service: str, region: str) -> Prepare:
    """Return what signs calls with `key`. Raises ImportError without botocore."""
    from botocore.auth import SigV4Auth
    from botocore.credentials import Credentials

    auth = SigV4Auth(Credentials(key.id, key.secret, key.token), service, region)

    async def prepare(call: Call, credential: Credential, epoch: float) -> Call:
        return signed_by(auth, call)

    return prepare


def token_signer(token: SigningToken, service: str, region: str) -> Prepare:
    """Return what signs calls with the key that `token` has at that time. Raises ImportError."""
    from botocore.auth import SigV4Auth
    from botocore.credentials import Credentials

    async def prepare(call: Call, credential: Credential, epoch: float) -> Call:
        key = _KEY.decode(await token.get())
        auth = SigV4Auth(Credentials(key.id, key.secret, key.token), service, region)
        return signed_by(auth, call)

    return prepare


def signed_by(auth: Any, call: Call) -> Call:
    from botocore.awsrequest import AWSRequest

    # What is added on the way (`accept`, the id of the request) is left out of the signature.
    signed = {
        name.decode("ascii"): value.decode("latin-1")
        for name, value in call.headers
        if name == _SIGNED
    }
    request: Any = AWSRequest(
        method=call.method.decode("ascii"),
        url=_address(call.origin) + call.target.decode("ascii"),
        data=call.body,
        headers=signed,
    )
    auth.add_auth(request)
    added = tuple(
        (name.lower().encode("ascii"), value.encode("latin-1"))
        for name, value in request.headers.items()
        if name.lower() not in signed
    )
    return msgspec.structs.replace(call, headers=(*call.headers, *added))


def _address(origin: Origin) -> str:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    port = "" if origin.port == _PORTS.get(origin.scheme) else f":{origin.port}"
    return f"{origin.scheme}://{host}{port}"
