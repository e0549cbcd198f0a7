"""Capabilities of a kind, a provider and a route, one over the other."""

from __future__ import annotations

from typing import Any

from gateway.core.routing.capabilities.declared import UNDECLARED, Capabilities


def test_what_is_declared_later_goes_before() -> None:
    kind = Capabilities(images=False, audio=False, context_tokens=1000)
    provider = Capabilities(images=True, tools=False)
    route = Capabilities(context_tokens=500)
    assert kind.override(provider).override(route) == Capabilities(
        images=True, audio=False, tools=False, context_tokens=500
    )
    assert kind.override(UNDECLARED) is kind


def test_only_what_something_can_fail_at_restricts() -> None:
    assert not UNDECLARED.restricts
    assert not Capabilities(images=True, tools=True).restricts
    # Nothing is passed over for want of a web search: it goes elsewhere, or is left out.
    assert not Capabilities(web_search=False).restricts
    assert not Capabilities(context_with_answer=True).restricts
    for name in set(Capabilities.__struct_fields__) - {"web_search", "context_with_answer"}:
        value: Any = 5 if name.endswith("_tokens") else False
        assert Capabilities(**{name: value}).restricts
