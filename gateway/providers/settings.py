"""What a table `[providers.NAME]` may say, whatever its kind.

A kind with keys of its own extends `Provider` in its module.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from ..core.routing.capabilities.declared import UNDECLARED, Capabilities
from ..core.routing.timeouts import TimeoutOverrides
from .quirks.settings import NO_QUIRKS, Quirks
from .tokens.sources import AwsAccount, GoogleAccount, ManagedIdentity

_Positive = Annotated[float, Meta(gt=0)]
_Count = Annotated[int, Meta(ge=1)]


class Probe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An active health check: GET `path` below the provider's base_url, every `interval` seconds.

    Any answer below 500 is a sign of life. `failures` in a row open the breakers of all the
    provider's deployments.
    """

    path: Annotated[str, Meta(pattern=r"^/[!-~]*\Z", description="a path such as /models")] = (
        "/models"
    )
    interval: Annotated[float, Meta(ge=0.1)] = 10.0
    timeout: _Positive = 5.0
    failures: _Count = 3


class ClientCredentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Access tokens instead of a key: OAuth's client credentials grant (RFC 6749 section 4.4)."""

    token_url: str
    client_id: str
    client_secret: str
    scope: str = ""

    def __repr__(self) -> str:
        # Without the secret: a traceback may show it, and so the log.
        return f"<ClientCredentials of {self.client_id!r} at {self.token_url}>"


# Where access tokens come from: servers that are asked by HTTP, and what botocore asks.
HttpTokenSource = ClientCredentials | ManagedIdentity | GoogleAccount
TokenSource = HttpTokenSource | AwsAccount


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`kind` is a `ProviderKind`'s name, `oauth` where tokens come from if there is no key."""

    kind: str
    # The preset that the table was completed by; "" for none.
    preset: str = ""
    base_url: str | None = None
    # A key may be sent without TLS, beyond this machine and names without a dot.
    allow_http: bool = False
    api_key: str | None = None
    # Several keys instead: used in turn, and left alone while they are refused or limited.
    api_keys: tuple[str, ...] = ()
    oauth: ClientCredentials | None = None
    headers: dict[str, str] = {}
    timeouts: TimeoutOverrides = TimeoutOverrides()
    max_connections: _Count = 1000
    ca_file: str | None = None
    rpm: _Count | None = None
    tpm: _Count | None = None
    max_concurrent: _Count | None = None
    probe: Probe | None = None
    # Some servers refuse `stream_options`; without it their streams carry no usage.
    stream_usage: bool = True
    # What its models cannot do, or can whatever their names say.
    capabilities: Capabilities = UNDECLARED
    # Where its servers differ from the API that they speak.
    quirks: Quirks = NO_QUIRKS

    @property
    def token_source(self) -> TokenSource | None:
        """Return where its access tokens come from; None if it has none."""
        return self.oauth
