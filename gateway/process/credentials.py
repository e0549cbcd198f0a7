"""The tokens that expire: fetched before they are needed, and again ahead of their end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import structlog
import trio

from ..core.routing.backoff import Rng
from ..errors import CredentialUnavailable, LocalShortage, UpstreamFailure
from ..providers.oauth import FetchedToken, basic_auth, read_token, token_form
from ..providers.settings import ClientCredentials, Provider

if TYPE_CHECKING:
    import httpx

# Makes the client, or returns the one that has been made: few gateways need it.
Client = Callable[[], "httpx.AsyncClient"]

# Seconds for one answer of a token endpoint.
FETCH_SECONDS: Final = 10.0
# A request that comes before the first token, or after the last one has expired, waits so many
# seconds for the next; then its attempt has failed, and another provider is asked.
PATIENCE: Final = 5.0
# Seconds between attempts that fail: doubled each time, with a jitter of half of it.
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0

_log = structlog.get_logger(__name__)


class RefreshedToken:
    """One provider's token: what requests ask, and the task that keeps it fresh."""

    def __init__(self, credentials: ClientCredentials, client: Client, rng: Rng) -> None:
        self._credentials = credentials
        self._client = client
        self._rng = rng
        self._token: FetchedToken | None = None
        self._error: UpstreamFailure = CredentialUnavailable("there is no token yet")
        self._fetched = trio.Event()

    def __repr__(self) -> str:
        state = self._error if self._token is None else f"until {self._token.expires:.0f}"
        return f"<RefreshedToken {state}>"

    async def get(self) -> bytes:
        """Return a token that is valid now.

        Raises CredentialUnavailable within `PATIENCE`; LocalShortage if the fault is our own.
        """
        with trio.move_on_after(PATIENCE):
            while (token := self._token) is None or token.expires <= time.time():
                await self._fetched.wait()
            return token.value
        raise type(self._error)(str(self._error))

    async def run(self) -> None:
        """Fetch tokens until cancelled."""
        import httpx

        failures = 0
        while True:
            try:
                self._token = token = await self._fetch()
            except (CredentialUnavailable, httpx.HTTPError, httpx.InvalidURL) as exc:
                failures += 1
                ours = isinstance(exc.__cause__, LocalShortage)
                kind = LocalShortage if ours else CredentialUnavailable
                self._error = kind(f"no access token: {exc}")
                _log.warning("no access token", url=self._credentials.token_url, error=str(exc))
                wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(failures - 1, 10))
                await trio.sleep(wait * (0.5 + 0.5 * self._rng()))
                continue
            failures = 0
            fetched, self._fetched = self._fetched, trio.Event()
            fetched.set()
            await trio.sleep(max(0.0, token.renew - time.time()))

    async def _fetch(self) -> FetchedToken:
        credentials = self._credentials
        with trio.move_on_after(FETCH_SECONDS):
            response = await self._client().post(
                credentials.token_url,
                data=token_form(credentials),
                auth=basic_auth(credentials),
                headers={"accept": "application/json", "accept-encoding": "identity"},
                timeout=None,
            )
            return read_token(response.status_code, response.content, time.time())
        raise CredentialUnavailable(f"the token endpoint says nothing for {FETCH_SECONDS:g} s")


class Credentials:
    """The tokens of all providers that have `oauth`. Their tasks run in `nursery`."""

    def __init__(self, client: Client, rng: Rng, nursery: trio.Nursery) -> None:
        self._client = client
        self._rng = rng
        self._nursery = nursery
        self._tokens: dict[ClientCredentials, RefreshedToken] = {}
        self._scopes: dict[ClientCredentials, trio.CancelScope] = {}

    def __repr__(self) -> str:
        return f"<Credentials {[*self._tokens.values()]}>"

    def token(self, provider: Provider) -> RefreshedToken | None:
        """Return the token of a provider that was in the last `follow`; None if it has a key."""
        return None if provider.oauth is None else self._tokens[provider.oauth]

    def follow(self, providers: Mapping[str, Provider]) -> None:
        """Keep the tokens of these fresh, and no others. Awaits nothing."""
        wanted = {each.oauth for each in providers.values() if each.oauth is not None}
        for gone in self._tokens.keys() - wanted:
            # Requests in flight keep the token they have; it is not renewed any more.
            del self._tokens[gone]
            self._scopes.pop(gone).cancel("no provider uses it any more")
        for new in wanted - self._tokens.keys():
            token = self._tokens[new] = RefreshedToken(new, self._client, self._rng)
            scope = self._scopes[new] = trio.CancelScope()
            self._nursery.start_soon(self._run, token, scope)

    async def _run(self, token: RefreshedToken, scope: trio.CancelScope) -> None:
        with scope:
            await token.run()
