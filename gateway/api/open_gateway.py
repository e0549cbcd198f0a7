"""What keeps a gateway that asks for no key from being everybody's.

Without tokens whoever reaches the port can call the providers, on whose keys money hangs. So such a
gateway answers on loopback only, unless its configuration says that it is meant to be open.

A browser reaches loopback, too, and any web page can make it post: a form, or `fetch` with
`text/plain`, is sent without asking (the Fetch standard, "CORS-safelisted request-header"), though
the page cannot read the answer. And a page whose name resolves to 127.0.0.1 can even do that (DNS
rebinding): it shows in Host.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from ..config.cors import Cors
from ..config.snapshot import Snapshot
from ..core.sign_in import is_loopback, parsed_address
from ..errors import CallerError, PermissionDenied
from .cors import allows

# Those that a page may send without a preflight; curl's `-d` sends the second.
_OF_FORMS: Final = (*(b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data"),)
# What a browser says of where a request comes from (w3.org/TR/fetch-metadata).
_FOREIGN: Final = frozenset({b"cross-site", b"same-site"})
_READS: Final = frozenset({"GET", "HEAD"})


class UnsupportedContent(CallerError):
    status = 415
    code = "unsupported_content_type"


def check_open(
    snapshot: Snapshot, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]
) -> None:
    """Let in a request to a gateway without tokens.

    Raises PermissionDenied (403) and UnsupportedContent (415).
    """
    if not snapshot.server.open:
        _check_place(scope.get("server"), headers.get(b"host"))
    method = scope["method"]
    if method != "OPTIONS":
        # A preflight, which is answered without what a page would need.
        _check_page(snapshot.cors, method, headers)
    kind = headers.get(b"content-type")
    # A key, whatever its value, is a header that no page can send without a preflight either.
    by_hand = headers.get(b"authorization", b"")[:7].lower() == b"bearer "
    if kind is not None and method not in _READS and _essence(kind) in _OF_FORMS and not by_hand:
        raise UnsupportedContent(
            "without keys only JSON is taken, which no web page can send unasked: send the header"
            " 'content-type: application/json'"
        )


def _check_place(server: Any, host: bytes | None) -> None:
    # A Unix socket has no address; who reaches it, its mode decides.
    if not server:
        return
    if not is_loopback(server[0]):
        raise PermissionDenied(
            "this gateway has no tokens, so it answers on loopback only; make one with 'gateway"
            " tokens create NAME', or set open = true in [server] if everyone may call",
            code="no_tokens",
        )
    if host is not None and not _is_unrebound(host):
        raise PermissionDenied(
            "without tokens only a Host that is an address or this machine's own name is answered,"
            " such as localhost; make a token, or set open = true in [server]",
            code="host_not_allowed",
        )


def _check_page(cors: Cors, method: str, headers: Mapping[bytes, bytes]) -> None:
    origin = headers.get(b"origin")
    if origin is not None:
        # Over TLS the scheme is another one, but not the host and the port.
        own = origin.partition(b"://")[2].lower() == headers.get(b"host", b"").lower() != b""
        if own or allows(cors, origin):
            return
    elif headers.get(b"sec-fetch-site") not in _FOREIGN or (
        method in _READS and headers.get(b"sec-fetch-mode") == b"navigate"
    ):
        return
    raise PermissionDenied(
        "pages of this origin may not call a gateway without tokens; [cors] allow_origins lists"
        " those that may",
        code="origin_not_allowed",
    )


def _essence(kind: bytes) -> bytes:
    """Return a content type without parameters, and of several the first."""
    return kind.replace(b",", b";").partition(b";")[0].strip().lower()


@lru_cache(maxsize=1024)
def _is_unrebound(host: bytes) -> bool:
    """Say whether a Host header cannot be a name that an attacker's DNS answers for.

    Addresses are not looked up, names without a dot and those that RFC 6761 keeps for a machine's
    own use and for tests are not in the public DNS.
    """
    text = host.decode("latin-1").lower()
    if text.startswith("["):
        return True
    name = text.partition(":")[0].removesuffix(".")
    return (
        "." not in name
        or parsed_address(name) is not None
        or name.endswith((".localhost", ".test"))
    )
