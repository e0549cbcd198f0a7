from __future__ import annotations

from typing import Any

import pytest

from gateway.config.changes import changed_tokens, changes
from gateway.config.keys.tables import Token
from gateway.config.listener.server import Server
from gateway.config.schema import Config, LimitsConfig, Log, Model, Route
from gateway.core.routing.hedging import HedgePolicy
from gateway.providers.settings import Provider

PROVIDER = Provider(kind="openai", base_url="http://a/v1", api_key="sk-canary-1")
OTHER = Provider(kind="openai", base_url="http://b/v1", api_key="sk-canary-2")
ROUTE = Route(provider="p", model="x")
MODEL = Model(name="m", routes=(ROUTE,))


def token(name: str, key: str = "sk-canary-3", **fields: Any) -> Token:
    return Token(name=name, key=key, **fields)


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        (Config(), Config(), []),
        (Config(), Config(server=Server(bind="[::]:80")), ["server.bind"]),
        (
            Config(),
            Config(limits=LimitsConfig(rpm=1), log=Log(level="debug")),
            ["log.level", "limits.rpm"],
        ),
        (Config(), Config(providers={"p": PROVIDER}), ["providers.p"]),
        (Config(providers={"p": PROVIDER}), Config(), ["providers.p"]),
        (
            Config(providers={"p": PROVIDER}),
            Config(providers={"p": OTHER}),
            ["providers.p.base_url", "providers.p.api_key"],
        ),
        (Config(), Config(models=(MODEL,)), ["models.m"]),
        (Config(models=(MODEL,)), Config(models=(MODEL, Model(name="n"))), ["models.n"]),
        (
            Config(models=(MODEL,)),
            Config(models=(Model(name="m", routes=(ROUTE,), hedge=HedgePolicy()),)),
            ["models.m.hedge"],
        ),
        (
            Config(tokens=(token("a"), token("b"))),
            Config(tokens=(token("a", rpm=5), token("b", key="sk-canary-4"))),
            ["tokens.a.rpm", "tokens.b.key"],
        ),
    ],
)
def test_the_names_of_what_differs(old: Config, new: Config, names: list[str]) -> None:
    found = changes(old, new)
    assert found == names
    assert "canary" not in repr(found)


def test_what_changed_of_each_token() -> None:
    old = Config(tokens=(token("gone"), token("b"), token("same")))
    new = Config(tokens=(token("b", rpm=5, tpm=6), token("same"), token("new")))
    assert changed_tokens(old, new) == {"b": ["rpm", "tpm"]}
    assert changed_tokens(old, old) == {}
