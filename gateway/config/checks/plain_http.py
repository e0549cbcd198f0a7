"""Keys that would be sent without TLS, over networks that are not this machine's own."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from ...core.capture.redaction import is_credential
from ...core.sign_in import is_loopback
from ...providers.settings import Provider


def plain_http(where: str, provider: Provider) -> Iterator[str]:
    """Yield where a key would be sent for everyone on the way to read."""
    if provider.allow_http:
        return
    secret = provider.api_key or provider.api_keys or any(map(is_credential, provider.headers))
    urls = {"base_url": provider.base_url if secret or provider.token_source else None}
    if provider.oauth is not None:
        urls["oauth.token_url"] = provider.oauth.token_url
    for key, url in urls.items():
        try:
            parts = urlsplit(url or "")
            host = parts.hostname or ""
        except ValueError:
            continue
        # Names without a dot are those of a machine's own network of containers.
        if parts.scheme == "http" and ("." in host or ":" in host) and not is_loopback(host):
            yield (
                f"{where} {key}: would send a key without TLS; use https://, or set"
                " allow_http = true in this table if the way there is yours"
            )
