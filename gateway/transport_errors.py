"""How one exchange with one provider failed, as far as the transport can say.

    UpstreamFailure                 an attempt decides what it means, a caller never sees it
    ├── ConnectFailed               (CertificateRefused is one)
    ├── ConnectTimeout
    ├── PoolTimeout
    ├── LocalShortage
    ├── CredentialUnavailable
    ├── ConnectionLost              (StaleConnection is one)
    ├── ProtocolViolation
    └── UnreadableBody

Of all but the last three, the provider has got nothing of the request; except of a `LocalShortage`
on a connection that was open.
"""

from __future__ import annotations


class UpstreamFailure(Exception):
    """One exchange with one provider failed, in a way that the transport can name."""


class ConnectFailed(UpstreamFailure):
    """DNS, TCP or TLS failed (`CertificateRefused`): nothing of the request was sent."""


class CertificateRefused(ConnectFailed):
    """It is not who we call, or we can't tell: it will not be another the next moment."""


class ConnectTimeout(UpstreamFailure):
    """Connecting took longer than `connect_timeout`: nothing of the request was sent."""


class PoolTimeout(UpstreamFailure):
    """No connection became free in time: nothing of the request was sent."""


class LocalShortage(UpstreamFailure):
    """We lack descriptors, memory or ports, by our own fault.

    Nothing of the request was sent, unless the connection was open already.
    """


class ConnectionLost(UpstreamFailure):
    """The connection was reset or ended early; the provider may have done the work."""


class StaleConnection(ConnectionLost):
    """A connection that had been idle was lost at once, as if closed before the request came."""


class ProtocolViolation(UpstreamFailure):
    """The provider's bytes are not what its protocol allows."""


class UnreadableBody(UpstreamFailure):
    """The body is compressed in a way that the gateway does not read, or is damaged."""


class CredentialUnavailable(UpstreamFailure):
    """There is no token or signature to call with: nothing of the request was sent."""
