"""What is valid and yet probably not meant: said by `gateway check` and at the start."""

from __future__ import annotations

from collections.abc import Iterator

from ...providers.facts.book import ModelBook
from ...providers.facts.current import bundled_book
from ...providers.presets.catalogue import presets
from ...providers.registry import KINDS
from ..schema import Config
from .facts import retired_models, unpriced_routes
from .openness import open_to_network
from .oversights import oversights


def advice(config: Config, epoch: float, book: ModelBook | None = None) -> Iterator[str]:
    """Yield sentences that begin with the table and the key; `epoch` is Unix time.

    `book` are the data on models that the gateway goes by, if not those of the package.
    """
    if config.retry.cap < config.retry.base:
        yield "[retry] cap: is less than base, which then has no effect"
    if 0 < config.cache.max_bytes < config.cache.max_entry_bytes:
        yield "[cache] max_entry_bytes: is more than max_bytes, the limit of all entries together"
    for name, provider in config.providers.items():
        probe = provider.probe
        if provider.preset and (gone := presets()[provider.preset].deprecated):
            yield f"[providers.{name}]: the preset {provider.preset!r} is deprecated: {gone}"
        for key, note in KINDS[provider.kind].notes(provider):
            yield f"[providers.{name}] {key}: {note}"
        if probe is not None and probe.timeout > probe.interval:
            yield f"[providers.{name}] probe.timeout: is longer than interval"
    if not config.tokens and (problem := open_to_network(config.server)):
        # Keys in the database, which a check does not ask, would be tokens as well.
        yield problem
    limited = {team.name for team in config.teams}
    for token in config.tokens:
        where = f"[[tokens]] {token.name!r}"
        if not token.models:
            yield f"{where} models: is empty, so the key may use no model"
        if token.expires_at is not None and token.expires_at.timestamp() <= epoch:
            yield f"{where} expires_at: is over; the key is refused"
        if token.team is not None and limited and token.team not in limited:
            yield (
                f"{where} team: {token.team!r} has no [[teams]]; unless there is a team of that"
                " name in the database, no limit of a team holds"
            )
    yield from oversights(config)
    yield from unpriced_routes(config, book or bundled_book())
    yield from retired_models(config, book or bundled_book(), epoch)
