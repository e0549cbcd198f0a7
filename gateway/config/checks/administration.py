"""What is wrong in `[admin]` and `[admin.oidc]`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit

from ...core.sign_in import UNIX, AdminSettings, OidcSettings, is_loopback, parsed_network
from ...installation import how_to_add

# What needs no escape in a path, in a header and in a cookie (RFC 3986, 2.3).
_PATH: Final = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
# What paths of the API for models begin with, on the same port.
TAKEN: Final = frozenset(
    {
        *("v1", "v1beta", "v1alpha", "api", "health", "metrics", "models", "tunedModels", "chat"),
        *(
            "v2",
            "model",
            "foundation-models",
            "inference-profiles",
            "audio",
            "images",
            "rerank",
            "passthrough",
        ),
        *("completions", "embeddings", "messages", "moderations", "responses"),
    }
)

# Yields what is wrong with the address of a key, given an example of one that is right.
UrlCheck = Callable[[str, str, str], Iterator[str]]


def check_proxies(where: str, trusted: tuple[str, ...]) -> Iterator[str]:
    """Yield what is wrong with proxies that are believed."""
    for each in trusted:
        if each != UNIX and parsed_network(each) is None:
            yield (
                f"{where} trusted_proxies: {each!r} is no address such as 10.0.0.7, no network such"
                f' as 10.0.0.0/8, and not "{UNIX}"'
            )


def check_admin(admin: AdminSettings, public: str, url: UrlCheck) -> Iterator[str]:
    """Yield every problem; `public` is where the gateway listens."""
    yield from check_proxies("[admin]", admin.trusted_proxies)
    if admin.bind and admin.bind == public and not admin.bind.endswith(":0"):
        yield "[admin] bind: is the address of [server]; leave it empty to share that"
    if not _PATH.fullmatch(admin.path):
        yield (
            f"[admin] path: {admin.path!r} is no path such as /admin or /ops/gateway, of letters,"
            " digits, '.', '_', '~' and '-', without a slash at its end"
        )
    elif not admin.bind and admin.path.split("/")[1] in TAKEN:
        yield f"[admin] path: {admin.path!r} is where the API for models is"
    if admin.oidc is not None:
        yield from _oidc_provider(admin.oidc, admin.path, url)


def _oidc_provider(oidc: OidcSettings, path: str, url: UrlCheck) -> Iterator[str]:
    where = "[admin.oidc]"
    wrong = list(url(f"{where} issuer", oidc.issuer, "https://login.example.com"))
    yield from wrong
    parts = None if wrong else urlsplit(oidc.issuer)
    if parts is not None and parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        yield f"{where} issuer: must be https, since what comes from there says who is who"
    if not oidc.client_id:
        yield f"{where} client_id: is empty; it is the name that the provider has for the gateway"
    if not oidc.roles:
        yield f'{where} roles: is empty, so nobody could sign in; such as {{ admins = "admin" }}'
    if "openid" not in oidc.scopes:
        yield f'{where} scopes: must have "openid"'
    if oidc.redirect_uri:
        callback = f"{path}/api/oidc/callback"
        yield from url(
            f"{where} redirect_uri", oidc.redirect_uri, f"https://gateway.example.com{callback}"
        )
        if not oidc.redirect_uri.endswith(callback):
            yield f"{where} redirect_uri: must end with {callback}"
    if find_spec("joserfc") is None:
        yield f"{where}: needs joserfc; {how_to_add('oidc')}"
