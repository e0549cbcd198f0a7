from __future__ import annotations

import pkgutil

import msgspec
import pytest

from gateway.providers import kinds, registry
from gateway.providers.kind import ProviderKind
from gateway.providers.registry import KINDS
from gateway.providers.settings import Provider


def test_every_module_has_a_kind_and_every_kind_a_module() -> None:
    modules = [module.name for module in pkgutil.iter_modules(kinds.__path__)]
    assert len(KINDS) == len(modules)
    assert {"anthropic", "demo", "gemini", "openai"} <= KINDS.keys()
    assert all(name == kind.name for name, kind in KINDS.items())


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_kind_has_all_that_is_asked_of_it(kind: ProviderKind) -> None:
    assert kind.dialect.name
    assert kind.refusals.statuses
    assert issubclass(kind.settings, Provider)
    required = [each for each in msgspec.structs.fields(kind.settings) if each.required]
    filled = {each.name: "x" for each in required} | {"kind": kind.name}
    table = msgspec.convert(filled, kind.settings, strict=False)
    # Where it is called is known, or it runs its own server, or its table is not complete.
    known = kind.address(table) or kind.serve(table) or list(kind.problems(table))
    assert known
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"kind": kind.name, "unknown": 1}, kind.settings)


def test_two_modules_with_one_kind_are_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = list(pkgutil.iter_modules(kinds.__path__))[:1] * 2
    monkeypatch.setattr(pkgutil, "iter_modules", lambda path: twice)
    with pytest.raises(TypeError, match="two modules"):
        registry._found()
