"""What the data on models say of routes: which have no price, and whose models retire.

And which models have nobody who counts their tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from ...installation import how_to_add
from ...providers.facts.book import ModelBook, fact_names
from ...providers.facts.encodings import tokenizer_installed
from ...providers.registry import KINDS
from ..schema import Config, Route

# A model that retires is to be replaced before it does.
_SOON: Final = timedelta(days=30)
_NAMED: Final = 3


def unpriced_routes(config: Config, book: ModelBook) -> Iterator[str]:
    """Name every route whose answers, or a part of them, have no known cost."""
    limited = any(token.budget for token in config.tokens) or any(
        team.budget for team in config.teams
    )
    spent = ", and spends nothing of any budget" if limited else ""
    for where, route in _routes(config):
        prices, provider = route.prices, config.providers.get(route.provider)
        if config.catalog.prices and provider is not None:
            if route.model.endswith("*") and fact_names(provider):
                continue  # each of its models is looked up when it is asked for
            fact = book.of(provider, route.model)
            prices = prices.over(None if fact is None else fact.prices(book.label))
        missing = [f"{side}_price" for side in ("input", "output") if getattr(prices, side) is None]
        # What is billed by searches needs no price of tokens.
        if missing and prices.search is None:
            yield (
                f"{where}: has no {' and no '.join(missing)}: what it serves has an unknown cost"
                f" (null){spent}; the price of what is free is 0"
            )


def retired_models(config: Config, book: ModelBook, epoch: float) -> Iterator[str]:
    """Name the routes to models that their vendor has taken back, or will within a month."""
    soon = (datetime.fromtimestamp(epoch, UTC) + _SOON).date().isoformat()
    for where, route in _routes(config):
        provider = config.providers.get(route.provider)
        fact = None if provider is None else book.of(provider, route.model)
        if fact is not None and fact.retires is not None and fact.retires <= soon:
            instead = f"; its vendor names {fact.successor} instead" if fact.successor else ""
            yield f"{where}: the model retires on {fact.retires}{instead}"


def guessed_counts(config: Config) -> Iterator[str]:
    """Name the models whose tokens no provider counts, if the tokenizer is not installed either."""
    if tokenizer_installed():
        return
    found = [
        repr(model.name)
        for model in config.models
        if model.routes and not any(_counts(config, route) for route in model.routes)
    ]
    if found:
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        yield (
            f"[[models]] {', '.join(found[:_NAMED])}{more}: who asks how many tokens a prompt has"
            f" is told a guess by its length, since no provider counts; {how_to_add('tokens')}"
        )


def _counts(config: Config, route: Route) -> bool:
    provider = config.providers.get(route.provider)
    if provider is None:
        return True
    counts = KINDS[provider.kind].dialect.count_target(b"", route.model) is not None
    return counts or getattr(provider, "api", "chat") != "chat"


def _routes(config: Config) -> Iterator[tuple[str, Route]]:
    for model in config.models:
        for number, route in enumerate(model.routes):
            named = f"({route.provider}/{route.model})"
            yield f"[[models]] {model.name!r} routes[{number}] {named}", route
