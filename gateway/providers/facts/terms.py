"""What the data on models add to the terms of a route."""

from __future__ import annotations

import msgspec

from ..kind import RouteTerms
from ..settings import Provider
from .book import ModelBook
from .policy import CatalogPolicy


def with_facts(
    terms: RouteTerms, provider: Provider, book: ModelBook | None, policy: CatalogPolicy
) -> RouteTerms:
    """Return `terms` with what `book` knows of their model, where they say nothing themselves."""
    if book is None:
        return terms
    fact, prices = book.of(provider, terms.model), terms.prices
    find = book.batch_prices if terms.batch else book.prices
    known = find(provider, terms.model) if policy.prices else None
    if fact is None and known is None:
        return terms
    prices = prices.over(known)
    found = msgspec.structs.replace(terms, prices=prices)
    if not policy.limits or fact is None:
        return found
    return msgspec.structs.replace(found, context=fact.context, longest_answer=fact.output)
