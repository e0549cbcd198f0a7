"""Calls to the OpenID Connect provider, over our own transport."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import trio

from ...errors import ProvidersFailed
from ...transport_errors import UpstreamFailure

if TYPE_CHECKING:
    import httpx

_SECONDS: Final = 10.0
# A provider with many keys and certificates has some ten kilobytes of them.
_MOST: Final = 256 * 1024


class ProviderHttp:
    """An `OidcHttp`; `client` returns the client of what runs beside requests."""

    def __init__(self, client: Callable[[], httpx.AsyncClient]) -> None:
        self._client = client

    async def __call__(
        self,
        method: str,
        url: str,
        form: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Return status and body. Raises ProvidersFailed if there is no answer in time."""
        # In a thread: httpx takes a quarter of a second to import.
        await trio.to_thread.run_sync(
            import_module, "gateway.upstream.http_client", abandon_on_cancel=True
        )
        import httpx

        from ...upstream.http_client import read_some
        from ...upstream.httpx_adapter import BAD_URL

        try:
            with trio.move_on_after(_SECONDS):
                async with self._client().stream(
                    method,
                    url,
                    data=form,
                    auth=None if auth is None else (_quoted(auth[0]), _quoted(auth[1])),
                    headers={"accept": "application/json", "accept-encoding": "identity"},
                    timeout=None,
                ) as response:
                    body = await read_some(response, _MOST)
                    if len(body) > _MOST:
                        raise ProvidersFailed(
                            "the OpenID Connect provider's answer is too large", code="oidc_failed"
                        )
                    return response.status_code, body
        except (UpstreamFailure, httpx.HTTPError, *BAD_URL) as exc:
            raise ProvidersFailed(
                f"the OpenID Connect provider cannot be reached: {exc}", code="oidc_failed"
            ) from exc
        raise ProvidersFailed(
            f"the OpenID Connect provider says nothing for {_SECONDS:g} s", code="oidc_failed"
        )


def _quoted(text: str) -> str:
    # RFC 6749, 2.3.1: name and secret are form-encoded first.
    return quote(text, safe="")
