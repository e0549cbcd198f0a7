from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest

from gateway.config import snapshot
from gateway.config.schema import Config, Model, Provider, Route, Token
from gateway.config.snapshot import ANYONE, Caller, Snapshot, key_digest, take
from gateway.core.routing.deployment import Deployment
from gateway.core.timeouts import TimeoutOverrides, Timeouts
from gateway.providers import openai

HASHED = "sha256:" + hashlib.sha256(b"hashed-key").hexdigest()
PROVIDERS = {
    "a": Provider(
        kind="openai", base_url="http://a/v1", timeouts=TimeoutOverrides(idle=2, total=2)
    ),
    "b": Provider(kind="openai", base_url="http://b/v1"),
}


def describe(name: str, provider: Provider, route: Route, timeouts: Timeouts) -> Deployment:
    return openai.describe(name, provider, route, timeouts, b"test")


def taken(**fields: Any) -> Snapshot:
    return take(Config(**{"providers": PROVIDERS} | fields), describe, created=1_700_000_000)


def test_models_and_aliases_are_resolved() -> None:
    routes = (Route(provider="a", model="x"), Route(provider="b", model="y"))
    found = taken(
        models=(
            Model(name="fastest", alias="fast"),
            Model(name='é"', routes=routes[1:]),
            Model(name="fast", alias="real"),
            Model(name="real", routes=routes),
        )
    )
    # In the order of the file.
    assert list(found.models) == ["fastest", 'é"', "fast", "real"]
    names = {
        name: [deployment.name for deployment in model.deployments]
        for name, model in found.models.items()
    }
    assert names == {
        "fastest": ["a/x", "b/y"],
        'é"': ["b/y"],
        "fast": ["a/x", "b/y"],
        "real": ["a/x", "b/y"],
    }
    # An alias answers under its own name.
    assert found.models["fastest"].json_name == b'"fastest"'
    assert found.models['é"'].json_name == '"é\\""'.encode()
    assert found.created == 1_700_000_000


def test_timeouts_are_the_files_then_the_providers_then_the_routes() -> None:
    routes = (
        Route(provider="a", model="x", timeouts=TimeoutOverrides(total=3, connect=0)),
        Route(provider="b", model="y"),
    )
    base = Timeouts(connect=1, first_event=1, idle=1, total=1)
    found = taken(timeouts=base, models=(Model(name="m", routes=routes),))
    first, second = found.models["m"].deployments
    assert first.timeouts == Timeouts(connect=0, first_event=1, idle=2, total=3)
    assert second.timeouts == base


TOKENS = (
    Token(name="plain", key="plain-key"),
    Token(name="hashed", key=HASHED, models=("m", "n")),
    Token(name="latin", key="kéy-of-8"),
)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (b"plain-key", "plain"),
        (b"hashed-key", "hashed"),
        ("kéy-of-8".encode("latin-1"), "latin"),
        (b"plain-key ", None),
        (b"Plain-key", None),
        (b"", None),
        # The hash is not the key.
        (HASHED.encode(), None),
        (bytes.fromhex(HASHED.removeprefix("sha256:")), None),
    ],
)
def test_authenticate(key: bytes, name: str | None) -> None:
    found = taken(tokens=TOKENS)
    assert not found.open
    caller = found.authenticate(key)
    assert (caller.name if caller else None) == name


def test_known_and_unknown_keys_take_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    class Spy:
        compare_digest = staticmethod(compare)

    found = taken(tokens=TOKENS)
    monkeypatch.setattr(snapshot, "hmac", Spy)
    for key in (b"plain-key", b"wrong-key"):
        found.authenticate(key)
        assert compared.pop()[1] == hashlib.sha256(key).digest()
        assert compared == []


def test_keys_are_not_kept() -> None:
    found = taken(tokens=TOKENS)
    assert "plain-key" not in repr(found.callers)
    assert all(len(digest) == 32 for digest in found.callers)


def test_without_tokens_it_is_open_but_no_key_is_known() -> None:
    found = taken()
    assert found.open
    assert found.authenticate(b"") is None
    assert ANYONE.may_use("whatever")


@pytest.mark.parametrize(
    ("models", "allowed"), [({"*"}, True), ({"m"}, True), ({"n", "M"}, False), (set(), False)]
)
def test_may_use(models: set[str], allowed: bool) -> None:
    assert Caller("c", b"", frozenset(models)).may_use("m") is allowed


def test_key_digest_is_the_same_however_a_key_is_written() -> None:
    upper = "sha256:" + HASHED.removeprefix("sha256:").upper()
    assert key_digest("hashed-key") == key_digest(HASHED) == key_digest(upper)
