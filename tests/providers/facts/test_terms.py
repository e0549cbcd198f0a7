from __future__ import annotations

import msgspec
import pytest

from gateway.core.records.pricing import Prices
from gateway.providers.facts.current import bundled_book
from gateway.providers.facts.policy import CatalogPolicy
from gateway.providers.facts.terms import with_facts

from ..kinds.described import TERMS, describe
from ..tables import provider_of

OPENAI = provider_of("openai", {"api_key": "sk-12345678"}, {})
MINI = msgspec.structs.replace(TERMS, model="gpt-4o-mini")


@pytest.mark.parametrize(("prices", "limits"), [(True, True), (False, True), (True, False)])
def test_what_is_taken_of_the_data(*, prices: bool, limits: bool) -> None:
    policy = CatalogPolicy(prices=prices, limits=limits)
    found = with_facts(MINI, OPENAI, bundled_book(), policy)
    assert (found.prices.input is not None) is prices
    assert (found.context, found.longest_answer) == ((128_000, 16_384) if limits else (None, None))
    assert with_facts(MINI, OPENAI, None, policy) is MINI
    assert with_facts(TERMS, OPENAI, bundled_book(), policy) is TERMS


def test_each_model_of_a_family_has_its_own_prices() -> None:
    found = [
        with_facts(
            msgspec.structs.replace(TERMS, model=model, pattern="*"),
            OPENAI,
            bundled_book(),
            CatalogPolicy(),
        ).prices
        for model in ("gpt-4o", "gpt-4o-mini", "made-up")
    ]
    assert found[0].input != found[1].input
    assert found[2] == Prices()
    assert found[0].source == bundled_book().label


def test_what_a_deployment_makes_of_them() -> None:
    claude = provider_of("anthropic", {"api_key": "sk-12345678"}, {})
    terms = with_facts(
        msgspec.structs.replace(TERMS, model="claude-sonnet-4-5"),
        claude,
        bundled_book(),
        CatalogPolicy(),
    )
    found = describe("a", claude, terms)
    assert (found.context, found.longest_answer) == (200_000, 64_000)
    # Callers who do not say how long an answer may be get what is usual, not the most.
    assert found.default_max_tokens == 32_000
    assert found.max_output_tokens == 64_000
    own = msgspec.structs.replace(terms, max_output_tokens=5)
    found = describe("a", claude, own)
    assert (found.max_output_tokens, found.longest_answer) == (5, None)
