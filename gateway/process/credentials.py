"""The tokens that expire: fetched before they are needed, and again ahead of their end."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
import trio

from ..background import persist
from ..core.routing.backoff import Rng
from ..providers.aws.account import resolve
from ..providers.oauth import FetchedToken, read_token
from ..providers.settings import HttpTokenSource, Provider, TokenSource
from ..providers.tokens.requests import TokenRequest, token_request
from ..providers.tokens.sources import AwsAccount, GoogleAccount, read_account
from ..stops import running_after
from ..transport_errors import CredentialUnavailable, LocalShortage, UpstreamFailure

if TYPE_CHECKING:
    import httpx

# Makes the client, or returns the one that has been made: few gateways need it.
Client = Callable[[], "httpx.AsyncClient"]

# Seconds and bytes for one answer of a token endpoint. Tokens have a few KiB.
FETCH_SECONDS: Final = 10.0
MAX_ANSWER: Final = 64 * 1024
# A request that comes before the first token, or after the last one has expired, waits so many
# seconds for the next; then its attempt has failed, and another provider is asked.
PATIENCE: Final = 5.0
# Seconds between attempts that fail: doubled each time, with a jitter of half of it.
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0
# Between two tokens, however short they live.
LEAST_WAIT: Final = 0.1
# A token that is refused so many seconds after it was fetched is not replaced: the next would fare
# no better, and a provider that refuses them all would have one fetched for every request.
YOUNG: Final = 10.0

# Where tokens come from, and what is trusted there.
_Source = tuple[TokenSource, str | None]

_log = structlog.get_logger(__name__)


class RefreshedToken:
    """One provider's token: what requests ask, and the task that keeps it fresh.

    `ca_file` is what its provider is trusted by, which is often true of both.
    """

    def __init__(
        self,
        credentials: TokenSource,
        client: Client,
        rng: Rng,
        ca_file: str | None = None,
    ) -> None:
        self._credentials = credentials
        self._url = ""
        self._ca_file = ca_file
        self._client = client
        self._rng = rng
        self._token: FetchedToken | None = None
        self._error: UpstreamFailure = CredentialUnavailable("there is no token yet")
        self._fetched = trio.Event()
        self._fetched_at = -math.inf
        # Set by a request that finds the token expired: the clocks may have been moved, or the
        # machine suspended, which Trio's clock does not notice. Or by one that was refused with it.
        self._wanted = trio.Event()
        # When the next fetch begins, in Trio's seconds.
        self._retry_at = 0.0

    def __repr__(self) -> str:
        state = self._error if self._token is None else f"until {self._token.expires:.0f}"
        return f"<RefreshedToken {state}>"

    async def get(self) -> bytes:
        """Return a token that is valid now. Raises CredentialUnavailable within `PATIENCE`.

        At once, if the next fetch is too far away to wait for. Raises LocalShortage instead if
        the fault is our own.
        """
        with running_after(PATIENCE) as scope:
            while (token := self._token) is None or token.expires <= time.time():
                if self._retry_at > scope.deadline:
                    break
                self._wanted.set()
                await self._fetched.wait()
            else:
                return token.value
        raise type(self._error)(str(self._error))

    def refused(self, token: bytes) -> bool:
        """Take note that the provider did not take `token`; say whether there will be another.

        The first request to be refused has one fetched, and the others with the same token wait
        for that one.
        """
        current = self._token
        if current is None or current.value != token:
            return True
        if trio.current_time() < self._fetched_at + YOUNG:
            return False
        self._error = CredentialUnavailable("the provider refuses the token, and there is no other")
        self._token = None
        self._wanted.set()
        return True

    async def run(self) -> None:
        """Fetch tokens until cancelled."""
        import httpx

        from ..upstream import httpx_adapter

        failures = 0
        while True:
            try:
                self._token = token = await self._fetch()
            except (UpstreamFailure, httpx.HTTPError, *httpx_adapter.BAD_URL) as exc:
                failures += 1
                ours = isinstance(exc.__cause__, LocalShortage)
                kind = LocalShortage if ours else CredentialUnavailable
                self._error = kind(f"no access token: {exc}")
                _log.warning("no access token", url=self._url, error=str(exc))
                wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(failures - 1, 10))
                self._retry_at = trio.current_time() + wait * (0.5 + 0.5 * self._rng())
                await trio.sleep_until(self._retry_at)
                continue
            failures = 0
            self._fetched_at = trio.current_time()
            fetched, self._fetched = self._fetched, trio.Event()
            fetched.set()
            self._wanted = trio.Event()
            await trio.sleep(LEAST_WAIT)
            with trio.move_on_after(max(0.0, token.renew - time.time())):
                await self._wanted.wait()

    async def _fetch(self) -> FetchedToken:
        source = self._credentials
        if isinstance(source, AwsAccount):
            return await _resolved(source)
        from ..upstream.http_client import read_some

        with running_after(FETCH_SECONDS):
            request = await _request(source)
            self._url = request.url.partition("?")[0]
            async with self._client().stream(
                "GET" if request.form is None else "POST",
                request.url,
                data=request.form,
                auth=request.auth,
                headers={
                    "accept": "application/json",
                    "accept-encoding": "identity",
                    **request.headers,
                },
                timeout=None,
                extensions={} if self._ca_file is None else {"ca_file": self._ca_file},
            ) as response:
                body = await read_some(response, MAX_ANSWER)
                return read_token(response.status_code, body, time.time())
        raise CredentialUnavailable(f"the token endpoint says nothing for {FETCH_SECONDS:g} s")


async def _request(source: HttpTokenSource) -> TokenRequest:
    """Return what asks for the next token. Raises CredentialUnavailable."""
    if not isinstance(source, GoogleAccount):
        return token_request(source, time.time())

    def signed() -> TokenRequest:
        # A file is read, and a signature takes a millisecond.
        account = read_account(source, os.environ, Path.home())
        return token_request(source, time.time(), account)

    return await trio.to_thread.run_sync(signed, abandon_on_cancel=True)


async def _resolved(account: AwsAccount) -> FetchedToken:
    with running_after(FETCH_SECONDS):
        find = partial(resolve, account, time.time())
        return await trio.to_thread.run_sync(find, abandon_on_cancel=True)
    raise CredentialUnavailable(f"no AWS credentials were found in {FETCH_SECONDS:g} s")


class Credentials:
    """The tokens of all providers that have some. Their tasks run in `nursery`."""

    def __init__(self, client: Client, rng: Rng, nursery: trio.Nursery) -> None:
        self._client = client
        self._rng = rng
        self._nursery = nursery
        self._tokens: dict[_Source, RefreshedToken] = {}
        self._scopes: dict[_Source, trio.CancelScope] = {}

    def __repr__(self) -> str:
        return f"<Credentials {[*self._tokens.values()]}>"

    def token(self, provider: Provider) -> RefreshedToken | None:
        """Return the token of a provider that has been started; None if it has a key."""
        source = _source(provider)
        return None if source is None else self._tokens[source]

    def start(self, providers: Mapping[str, Provider]) -> None:
        """Keep the tokens of these fresh, too. Awaits nothing."""
        for new in _wanted(providers) - self._tokens.keys():
            token = self._tokens[new] = RefreshedToken(new[0], self._client, self._rng, new[1])
            scope = self._scopes[new] = trio.CancelScope()
            self._nursery.start_soon(self._run, token, scope)

    def stop_old(self, providers: Mapping[str, Provider]) -> None:
        """Renew no other tokens than those of `providers`. Awaits nothing."""
        for gone in self._tokens.keys() - _wanted(providers):
            # Requests in flight keep the token they have; it is not renewed any more.
            del self._tokens[gone]
            self._scopes.pop(gone).cancel("no provider uses it any more")

    async def _run(self, token: RefreshedToken, scope: trio.CancelScope) -> None:
        with scope:
            await persist(token.run)


def _source(provider: Provider) -> _Source | None:
    source = provider.token_source
    return None if source is None else (source, provider.ca_file)


def _wanted(providers: Mapping[str, Provider]) -> set[_Source]:
    found = {_source(each) for each in providers.values()}
    return {each for each in found if each is not None}
