from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from gateway.config import schema, snapshot
from gateway.config.callers import ANYONE, Caller, key_digest
from gateway.config.checks.cross_check import cross_check
from gateway.config.keys.tables import Token
from gateway.config.listener.server import Server
from gateway.config.schema import Admin, Config, Model, Route
from gateway.config.snapshot import LearnedState, ServedModel, Snapshot, build_snapshot
from gateway.core.cache.answers import ModelCache
from gateway.core.limits.budget import Budget
from gateway.core.limits.ledger import Scope, ScopeLimits
from gateway.core.routing.attempts import RetryOverrides, RetryPolicy
from gateway.core.routing.causes import Cause
from gateway.core.routing.hedging import HedgePolicy
from gateway.core.routing.timeouts import TimeoutOverrides, Timeouts
from gateway.providers.settings import Provider
from gateway.state.health import LocalHealth

from ..providers.kinds.described import describe

HASHED = "sha256:" + hashlib.sha256(b"hashed-key").hexdigest()
PROVIDERS = {
    "a": Provider(
        kind="openai", base_url="http://a/v1", timeouts=TimeoutOverrides(idle=2, total=2)
    ),
    "b": Provider(kind="openai", base_url="http://b/v1"),
}


def taken(learned: LearnedState | None = None, **fields: Any) -> Snapshot:
    config = Config(**{"providers": PROVIDERS} | fields)
    if config.models:
        assert list(cross_check(config)) == []
    return build_snapshot(config, describe, created=1_700_000_000, learned=learned or LocalHealth())


def served(found: Snapshot, name: str) -> ServedModel:
    model = found.models.get(name)
    assert model is not None
    return model


def deployments(found: Snapshot, name: str) -> list[str]:
    return [deployment.name for deployment in served(found, name).deployments]


A, B = Route(provider="a", model="x"), Route(provider="b", model="y")


# Names...


def test_models_and_aliases_are_resolved() -> None:
    found = taken(
        models=(
            Model(name="fastest", alias="fast"),
            Model(name='é"', routes=(B,)),
            Model(name="fast", alias="real"),
            Model(name="real", routes=(A, B)),
        )
    )
    # In the order of the file.
    assert [model.name for model in found.models] == ["fastest", 'é"', "fast", "real"]
    assert {model.name: deployments(found, model.name) for model in found.models} == {
        "fastest": ["a/x", "b/y"],
        'é"': ["b/y"],
        "fast": ["a/x", "b/y"],
        "real": ["a/x", "b/y"],
    }
    # An alias answers under its own name.
    assert served(found, "fastest").json_name == b'"fastest"'
    assert served(found, 'é"').json_name == '"é\\""'.encode()
    assert found.created == 1_700_000_000
    assert found.models.get("x") is None


def test_a_family_passes_the_rest_of_a_name() -> None:
    routes = (Route(provider="a", model="gpt-*"), Route(provider="b", model="fixed"))
    found = taken(
        models=(
            Model(name="f/*", routes=routes),
            Model(name="g/*", alias="f/4-*"),
            Model(name="h", alias="f/3"),
        )
    )
    assert deployments(found, "f/5") == ["a/gpt-5", "b/fixed"]
    assert deployments(found, "g/mini") == ["a/gpt-4-mini", "b/fixed"]
    assert deployments(found, "h") == ["a/gpt-3", "b/fixed"]
    first, second = served(found, "f/5").deployments
    assert (first.model_json, first.pattern, first.state_key) == (b'"gpt-5"', "gpt-*", "a/gpt-*")
    assert (second.pattern, second.state_key) == (None, "b/fixed")
    # All of a family share what is known of a route: callers could make up names without end.
    one, other = served(found, "f/5"), served(found, "g/x")
    assert one.targets == other.targets
    assert one.balancers == other.balancers
    assert one.fingerprint != other.fingerprint
    # So does what stands for the family itself, of which a reload asks what is still there.
    assert [model.name for model in found.models.everything()] == ["h", "f/*", "g/*"]
    assert {each for model in found.models.everything() for each in model.targets} == {*one.targets}


# What a model is...


def test_fallbacks_come_after_the_routes_in_groups() -> None:
    found = taken(
        models=(
            Model(
                name="m",
                routes=(A, B),
                strategy="round_robin",
                fallbacks=("n", "o/z"),
                fallback_on=("context_length", "content_policy"),
            ),
            # Of a fallback its routes and its strategy count, and no fallbacks of its own.
            Model(name="n", alias="p"),
            Model(name="p", routes=(Route(provider="b", model="p"),), fallbacks=("m",)),
            Model(name="o/*", routes=(Route(provider="a", model="o-*"),)),
        )
    )
    model = served(found, "m")
    assert deployments(found, "m") == ["a/x", "b/y", "b/p", "a/o-z"]
    assert [target.name for target in model.targets] == ["a/x", "b/y", "b/p", "a/o-*"]
    assert model.groups == (2, 1, 1)
    assert model.switch_on == {Cause.CONTEXT_LENGTH, Cause.CONTENT_POLICY}
    orders = [list(model.order(0.0, lambda: 0.5, None)) for _ in range(4)]
    assert sorted(orders) == [[0, 1, 2, 3], [0, 1, 2, 3], [1, 0, 2, 3], [1, 0, 2, 3]]
    assert deployments(found, "n") == ["b/p", "a/x", "b/y"]
    assert served(found, "o/z").groups == (1,)
    assert served(found, "o/z").switch_on == frozenset()


def test_a_family_falls_back_to_one_of_its_own_and_to_another_family() -> None:
    routes = (Route(provider="a", model="*"),)
    found = taken(
        models=(
            Model(name="f/*", routes=routes, fallbacks=("f/safe", "g/*")),
            Model(name="g/*", routes=(Route(provider="b", model="*"),)),
        )
    )
    assert deployments(found, "f/new") == ["a/new", "a/safe", "b/new"]
    # But not that one to itself.
    assert deployments(found, "f/safe") == ["a/safe", "b/safe"]
    assert served(found, "f/safe").groups == (1, 1)


def test_the_order_is_the_strategys() -> None:
    cheap = Route(provider="b", model="y", output_price=1)
    dear = Route(provider="a", model="x", output_price=2)
    found = taken(
        models=(
            Model(name="p", routes=(dear, cheap)),
            Model(name="c", routes=(dear, cheap), strategy="cheapest"),
        )
    )
    assert list(served(found, "p").order(0.0, lambda: 0.5, None)) == [0, 1]
    assert list(served(found, "c").order(0.0, lambda: 0.5, None)) == [1, 0]


def test_options_of_a_model() -> None:
    cache, hedge = ModelCache(ttl=5), HedgePolicy(after=1)
    found = taken(
        retry=RetryPolicy(base=0.1, max_attempts=7),
        models=(
            Model(name="plain", routes=(A,)),
            Model(
                name="m",
                routes=(A,),
                strategy="sticky",
                sticky_by=("user",),
                retry=RetryOverrides(max_attempts=1),
                hedge=hedge,
                cache=cache,
            ),
            Model(name="alias", alias="m"),
        ),
    )
    plain, model = served(found, "plain"), served(found, "m")
    assert plain.retry == RetryPolicy(base=0.1, max_attempts=7)
    assert (plain.hedge, plain.hedge_cap, plain.cache) == (None, None, None)
    assert model.retry == RetryPolicy(base=0.1, max_attempts=1)
    assert (model.sticky_by, model.hedge, model.cache) == (("user",), hedge, cache)
    # An alias is the model under another name, down to what its requests have in common.
    other = served(found, "alias")
    assert msgspec.structs.replace(other, name="m", json_name=b'"m"') == model
    assert other.hedge_cap is model.hedge_cap is not None


def test_timeouts_are_the_files_then_the_providers_then_the_routes() -> None:
    routes = (
        Route(provider="a", model="x", timeouts=TimeoutOverrides(total=3, connect=0)),
        Route(provider="b", model="y"),
    )
    base = Timeouts(connect=1, first_event=1, idle=1, total=1)
    found = taken(timeouts=base, models=(Model(name="m", routes=routes),))
    first, second = served(found, "m").deployments
    assert first.timeouts == Timeouts(connect=0, first_event=1, idle=2, total=3)
    assert second.timeouts == base


def test_what_is_known_outlives_a_snapshot() -> None:
    known = LocalHealth()
    model = Model(name="m", routes=(A, B), strategy="weighted", hedge=HedgePolicy())
    first, second = (served(taken(known, models=(model,)), "m") for _ in range(2))
    assert first.deployments == second.deployments
    for one, other in zip(first.targets, second.targets, strict=True):
        assert one is other
    assert first.balancers[0] is second.balancers[0]
    assert first.hedge_cap is second.hedge_cap
    # Another weight, another balance; what is known of the deployments stays.
    heavy = msgspec.structs.replace(B, weight=3.0)
    changed = served(taken(known, models=(msgspec.structs.replace(model, routes=(A, heavy)),)), "m")
    assert changed.balancers[0] is not first.balancers[0]
    assert changed.targets[1] is first.targets[1]


# Callers...


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
    ("models", "allowed"),
    [
        (("*",), {"m", "f/x", "f/y-1"}),
        (("m",), {"m"}),
        (("f/x",), {"f/x"}),
        (("f/*", "m"), {"m", "f/x", "f/y-1"}),
        (("f/y*",), {"f/y-1"}),
        ((), set()),
    ],
)
def test_may_use(models: tuple[str, ...], allowed: set[str]) -> None:
    found = taken(
        models=(Model(name="m", routes=(A,)), Model(name="f/*", routes=(A,))),
        tokens=(Token(name="t", key="12345678", models=models),),
    )
    caller = found.authenticate(b"12345678")
    assert caller is not None
    assert {name for name in ("m", "f/x", "f/y-1", "M") if caller.may_use(name)} == allowed | (
        {"M"} if models == ("*",) else set()
    )


def caller_of(token: Token, **fields: Any) -> Caller:
    caller = taken(tokens=(token,), **fields).authenticate(b"12345678")
    assert caller is not None
    return caller


def test_the_scopes_of_a_caller() -> None:
    plain = Token(name="t", key="12345678")
    assert caller_of(plain).scopes == ()
    assert not caller_of(plain).limited
    budget = Budget(usd=5, window="day")
    own = Scope("token:t", ScopeLimits(rpm=1, max_concurrent=2), budget)
    everybody = Scope("global", ScopeLimits(rpm=9, tpm=8))
    limited = Token(name="t", key="12345678", rpm=1, max_concurrent=2, budget=budget)
    limits = schema.LimitsConfig(rpm=9, tpm=8, max_concurrent=7)
    assert caller_of(limited).scopes == (own,)
    assert caller_of(limited, limits=limits).scopes == (own, everybody)
    assert caller_of(plain, limits=limits).scopes == (everybody,)
    assert caller_of(plain, limits=limits).limited
    only_budget = Token(name="t", key="12345678", budget=budget)
    assert caller_of(only_budget).scopes == (Scope("token:t", ScopeLimits(), budget),)
    # Who calls without a key is everybody.
    assert taken(limits=limits).anyone.scopes == (everybody,)
    assert taken(limits=limits).anyone.limited
    assert taken(limits=schema.LimitsConfig(max_concurrent=7)).anyone.scopes == ()


def test_the_scopes_of_providers() -> None:
    providers = {
        "none": Provider(kind="demo", max_concurrent=3),
        "some": Provider(kind="demo", rpm=5),
        "more": Provider(kind="demo", rpm=5, tpm=6),
    }
    assert taken(providers=providers).provider_scopes == {
        "some": Scope("provider:some", ScopeLimits(rpm=5)),
        "more": Scope("provider:more", ScopeLimits(rpm=5, tpm=6)),
    }


def test_when_a_token_expires() -> None:
    assert caller_of(Token(name="t", key="12345678")).expires is None
    moment = datetime(1970, 1, 2, tzinfo=timezone(timedelta(hours=1)))
    caller = caller_of(Token(name="t", key="12345678", expires_at=moment))
    assert caller.expires == 86_400 - 3600


def test_admins() -> None:
    found = taken(
        tokens=(Token(name="t", key="12345678"),),
        admins=(Admin(name="a", key="admin-key"), Admin(name="b", key=HASHED)),
    )
    assert found.admin(b"admin-key") == "a"
    assert found.admin(b"hashed-key") == "b"
    assert found.admin_scopes == {}
    # A token is no admin, and an admin is no token.
    for key in (b"12345678", b"", b"Admin-key", HASHED.encode()):
        assert found.admin(key) is None
    assert found.authenticate(b"admin-key") is None
    assert taken().admin(b"admin-key") is None


def test_scopes_of_admin_keys() -> None:
    found = taken(
        admins=(
            Admin(name="a", key="admin-key"),
            Admin(name="b", key=HASHED, scopes=("viewer", "metrics")),
        ),
    )
    assert found.admin_scopes == {"b": ("viewer", "metrics")}


def test_key_digest_is_the_same_however_a_key_is_written() -> None:
    upper = "sha256:" + HASHED.removeprefix("sha256:").upper()
    assert key_digest("hashed-key") == key_digest(HASHED) == key_digest(upper)


def test_a_name_that_an_old_snapshot_resolves_late_gives_nobody_the_old_keys_back() -> None:
    state = LocalHealth()
    family = Model(name="all/*", routes=(Route(provider="a", model="*"),))

    def with_key(key: str) -> Snapshot:
        provider = msgspec.structs.replace(PROVIDERS["a"], api_key=key)
        return taken(state, models=(family,), providers={"a": provider})

    old, new = with_key("first-key"), with_key("second-key")
    (target,) = served(new, "all/x").targets
    keys = target.keyring.keys
    assert served(old, "all/y").targets == (target,)
    assert target.keyring.keys == keys
    (deployment,) = served(new, "all/x").deployments
    assert [key.id for key in keys] == [each.id for each in deployment.credentials]


@pytest.mark.parametrize("kept", [False, True])
def test_a_fallback_has_a_public_name(kept: bool) -> None:
    found = taken(
        models=(
            Model(name="a/*", routes=(Route(provider="a", model="*"),), fallbacks=("b/*", "c")),
            Model(name="b/*", routes=(Route(provider="b", model="*"),)),
            Model(name="c", alias="d"),
            Model(
                name="d", routes=(Route(provider="b", model="z"), Route(provider="a", model="y"))
            ),
            Model(name="fast", alias="a/x"),
        ),
        server=Server(answer_model="asked" if kept else "served"),
    )
    for name in ("a/x", "fast"):
        model = served(found, name)
        assert model.groups == (1, 1, 2)
        # Under the names that clients can ask for: the alias, and the family's with its * filled.
        assert [model.fallback(number) for number in range(4)] == [None, "b/x", "c", "c"]
        said = [model.answer_name(number) for number in range(4)]
        asked = msgspec.json.encode(name)
        assert said == ([asked] * 4 if kept else [asked, b'"b/x"', b'"c"', b'"c"'])
    alone = served(found, "d")
    assert [alone.fallback(number) for number in range(2)] == [None, None]
    assert alone.answer_name(1) == b'"d"'
