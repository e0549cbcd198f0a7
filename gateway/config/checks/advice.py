"""What is valid and yet probably not meant: said by `gateway check` and at the start."""

from __future__ import annotations

from collections.abc import Iterator

from ...providers.registry import KINDS
from ..schema import Config
from .openness import open_to_network
from .oversights import oversights


def advice(config: Config, epoch: float) -> Iterator[str]:
    """Yield sentences that begin with the table and the key; `epoch` is Unix time."""
    if config.retry.cap < config.retry.base:
        yield "[retry] cap: is less than base, which then has no effect"
    if 0 < config.cache.max_bytes < config.cache.max_entry_bytes:
        yield "[cache] max_entry_bytes: is more than max_bytes, the limit of all entries together"
    for name, provider in config.providers.items():
        probe = provider.probe
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
    yield from _unpriced_routes(config)


def _unpriced_routes(config: Config) -> Iterator[str]:
    """Name every route whose answers, or a part of them, have no known cost."""
    limited = any(token.budget for token in config.tokens) or any(
        team.budget for team in config.teams
    )
    spent = ", and spends nothing of any budget" if limited else ""
    for model in config.models:
        for number, route in enumerate(model.routes):
            known = {
                "input_price": route.input_price,
                "output_price": route.output_price,
            }
            missing = [name for name, price in known.items() if price is None]
            if missing:
                yield (
                    f"[[models]] {model.name!r} routes[{number}] ({route.provider}/{route.model}): "
                    f"has no {' and no '.join(missing)}: what it serves has an unknown cost (null)"
                    f"{spent}; the price of what is free is 0"
                )
