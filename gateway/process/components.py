"""All that runs in one process beside the requests, and how it takes a configuration."""

from __future__ import annotations

import os
import random
import secrets
import time
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from .. import __version__
from ..background import persist
from ..config import schema, snapshot
from ..config.callers import Caller
from ..config.snapshot import Describe, Snapshot
from ..core.dialects.keeping import ResponseKeeper
from ..core.objects.kept import ObjectKeeper, ObjectsInMemory
from ..core.routing.call import Call, Origin
from ..core.routing.deployment import Deployment
from ..group.known.presence import ProcessPresence
from ..lifecycle import Lifecycle
from ..providers.facts.book import ModelBook
from ..providers.facts.encodings import tokenizer_installed
from ..providers.facts.terms import with_facts
from ..providers.kind import Place, RouteTerms
from ..providers.registry import KINDS
from ..providers.settings import Provider
from ..proxy.cache.response_cache import ResponseCache
from ..proxy.services import Services
from ..proxy.traffic.control import TrafficControl
from ..proxy.traffic.probing import Probed, Probing
from ..serve.crew.member import INSTANCE
from ..state.announced_health import AnnouncedHealth
from ..state.health import LocalHealth
from ..state.shared.limits import SharedLimits
from ..stops import Stops
from ..tokenizer.counter import ProcessCounter
from ..upstream.resolver import Resolver
from ..upstream.transport import Transport
from .catalogue.facts import read_facts
from .credentials import Credentials
from .gauges import limits_word
from .local_servers import LocalServers
from .memory import bytes_for_bodies
from .recording import Recording
from .shared.limits import answers_of, limits_of, roll_of, slots_of
from .shared.news import NewsDesk

if TYPE_CHECKING:
    import httpx

_USER_AGENT: Final = f"gateway/{__version__}".encode()


def instance(environ: Mapping[str, str]) -> bytes:
    """Return the id of this gateway; workers of one supervisor have the same."""
    return (environ.get(INSTANCE) or secrets.token_hex(8)).encode("ascii")


class Components:
    """They outlive every reload. Their tasks run in `nursery`, from `start` on."""

    def __init__(
        self,
        config: schema.Config,
        lifecycle: Lifecycle,
        recording: Recording,
        nursery: trio.Nursery,
    ) -> None:
        self.transport = Transport()
        self.health: LocalHealth
        self._limits = limits_of(config)
        self._answers = answers_of(config)
        leadership = recording.leadership
        self.roll = roll_of(self._limits)
        self.presence = ProcessPresence(
            lifecycle,
            limits=lambda: limits_word(self._limits),
            leads=lambda: () if leadership is None else leadership.held,
        )
        self.news: NewsDesk | None = None
        if isinstance(self._limits, SharedLimits):
            self.news = NewsDesk(self._limits)
            self.health = self.news.health = AnnouncedHealth(
                self.news.announce, config.breaker, config.retry
            )
        else:
            self.health = LocalHealth(config.breaker, config.retry)
        self.services = Services(
            upstream=self.transport,
            limits=self._limits,
            health=self.health,
            traffic=TrafficControl(lifecycle, bytes_for_bodies(), slots_of(self._limits)),
            cache=ResponseCache(config.cache, self._answers),
            recorder=recording,
            lifecycle=lifecycle,
            rng=random.random,
            tracer=recording.tracer,
            captures=recording.captures,
            responses=_keeper(recording),
            objects=_objects(recording),
            tokens=ProcessCounter(nursery) if tokenizer_installed() else None,
            instance=instance(os.environ),
        )
        self.recording = recording
        self._nursery = nursery
        self._client: httpx.AsyncClient | None = None
        self._book: ModelBook | None = None
        self._servers = LocalServers(nursery)
        self._credentials = Credentials(self.http_client, random.random, nursery)
        self._probing = Probing(self._probe, self.health, random.random)
        self._origins: frozenset[Origin] = frozenset()
        # A reload makes no model newer.
        self._created = int(time.time())

    def __repr__(self) -> str:
        return f"<Components {self.transport}, {self.health}>"

    async def start(self) -> None:
        """Start what runs for as long as the process does."""
        trio.socket.set_custom_hostname_resolver(Resolver())
        stops = Stops()
        if isinstance(self._limits, SharedLimits):
            await self._nursery.start(self._limits.run)
        else:
            stops.add(self._limits)
        if self._answers is not None:
            self._nursery.start_soon(persist, self._answers.run)
        await self._nursery.start(stops.watch)
        self._nursery.start_soon(
            persist, partial(self.services.traffic.reservations.keep, self._limits)
        )
        self._nursery.start_soon(self.transport.maintain)
        self._nursery.start_soon(persist, self._probing.run)
        await self._nursery.start(self.services.cache.flights.run)

    async def finish(self) -> None:
        """End what others are to hear of, once no request is under way any more."""
        if isinstance(self._limits, SharedLimits):
            await self._limits.finish()
        await self.transport.aclose()

    async def prepare(self, config: schema.Config, folder: Path | None = None) -> None:
        """Start what `config` needs and is not there yet; the state is in `folder`."""
        self._book = await trio.to_thread.run_sync(read_facts, folder)
        await self._servers.start(config.providers)
        if any(each.probe or each.token_source for each in config.providers.values()):
            # It takes a quarter of a second, for which no request should have to wait.
            await trio.to_thread.run_sync(import_module, "gateway.upstream.probe")

    def adopt(self, config: schema.Config, callers: Mapping[bytes, Caller]) -> Snapshot:
        """Go on with a `config` that has been prepared; return what requests are to run on.

        Awaits nothing: no request sees half of it.
        """
        self._credentials.start(config.providers)
        describe = self._describer(config)
        taken = snapshot.build_snapshot(config, describe, self._created, self.health, callers)
        self.services.configure(config, taken)
        self.recording.configure(config)
        probed = self._probed(config)
        self._probing.configure(probed)
        origins = frozenset(
            each.origin for model in taken.models.everything() for each in model.deployments
        ).union(each.call.origin for each in probed)
        self.transport.retire(self._origins - origins)
        self._origins = origins
        self._credentials.stop_old(config.providers)
        self._servers.stop_old(config.providers)
        return taken

    def http_client(self) -> httpx.AsyncClient:
        """Return the client of what runs beside requests; made, and imported, when first used."""
        if self._client is None:
            from ..upstream.http_client import http_client

            self._client = http_client(self.transport)
        return self._client

    async def _probe(self, call: Call, timeout: float) -> bool | None:
        from ..upstream.probe import probe

        return await probe(self.http_client(), call, timeout)

    def _describer(self, config: schema.Config) -> Describe:
        """Return what describes the deployments of `config`, also once a reload has replaced it.

        A request may have the old snapshot and ask it for a model that no request asked for
        before. By then the tokens and servers of that configuration are no longer to be found.
        """
        places = {name: self._place(name, each) for name, each in config.providers.items()}

        book, policy = self._book, config.catalog

        def describe(name: str, provider: Provider, terms: RouteTerms) -> Deployment:
            known = with_facts(terms, provider, book, policy)
            return KINDS[provider.kind].describe(name, provider, places[name], known)

        return describe

    def _probed(self, config: schema.Config) -> list[Probed]:
        return [
            Probed(
                name,
                KINDS[provider.kind].probe_call(name, provider, self._place(name, provider)),
                provider.probe,
            )
            for name, provider in config.providers.items()
            if provider.probe is not None
        ]

    def _place(self, name: str, provider: Provider) -> Place:
        address = KINDS[provider.kind].address(provider) or self._servers.address(name, provider)
        assert address is not None
        token = self._credentials.token(provider)
        return Place(address, _USER_AGENT, token, self.services.instance)


def _keeper(recording: Recording) -> ResponseKeeper | None:
    """Return where responses are kept, if there is a database."""
    if recording.database is None:
        return None
    # Imported late: a gateway without a database needs none of it.
    from .shared.kept_responses import StoredResponses

    return StoredResponses(recording.database)


def _objects(recording: Recording) -> ObjectKeeper:
    """Return where it is remembered which provider keeps an object, and for whom."""
    if recording.database is None:
        return ObjectsInMemory()
    # Imported late: a gateway without a database needs none of it.
    from .shared.kept_objects import StoredObjects

    return StoredObjects(recording.database)
