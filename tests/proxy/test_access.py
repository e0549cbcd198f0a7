from __future__ import annotations

import hashlib

import msgspec
import pytest

from gateway.config.callers import Caller
from gateway.config.catalog import Catalog, Names
from gateway.config.schema import Model
from gateway.config.snapshot import ServedModel, Snapshot
from gateway.errors import AuthenticationFailed, ModelNotFound, PermissionDenied
from gateway.proxy.access import authenticate, authorize, visible

from .world import deployment, snapshot_of


def caller(*models: str, key: bytes = b"key", expires: float | None = None) -> Caller:
    return Caller(
        name="t",
        digest=hashlib.sha256(key).digest(),
        models=frozenset(models),
        beginnings=tuple(each[:-1] for each in models if each.endswith("*")),
        expires=expires,
    )


def snapshot(*callers: Caller) -> Snapshot:
    return snapshot_of(deployment("a"), callers=callers)


def test_without_tokens_anyone_may_call() -> None:
    found = snapshot()
    assert authenticate(found, None, 0.0) is found.anyone
    assert authenticate(found, b"whatever", 0.0) is found.anyone


def test_a_key_is_known_by_its_digest() -> None:
    one, two = caller("m"), caller("m", key=b"other")
    assert authenticate(snapshot(one, two), b"other", 0.0) is two


@pytest.mark.parametrize("key", [None, b""])
def test_who_sends_no_key_is_told_how(key: bytes | None) -> None:
    with pytest.raises(AuthenticationFailed, match="Authorization: Bearer") as caught:
        authenticate(snapshot(caller("m")), key, 0.0)
    assert caught.value.code == "invalid_api_key"


def test_a_wrong_key_is_not_repeated() -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        authenticate(snapshot(caller("m")), b"sk-secret", 0.0)
    assert "sk-secret" not in caught.value.message


@pytest.mark.parametrize(("epoch", "good"), [(99.9, True), (100.0, False), (1e12, False)])
def test_a_key_ends_when_it_says(epoch: float, good: bool) -> None:
    who = caller("m", expires=100.0)
    if good:
        assert authenticate(snapshot(who), b"key", epoch) is who
        return
    with pytest.raises(AuthenticationFailed, match="expired") as caught:
        authenticate(snapshot(who), b"key", epoch)
    assert (caught.value.status, caught.value.code) == (401, "expired_api_key")


@pytest.mark.parametrize("models", [("m",), ("*",), ("x", "m*")])
def test_a_model_that_a_token_names_is_served(models: tuple[str, ...]) -> None:
    who = caller(*models)
    assert authorize(snapshot(who), who, "m").name == "m"


def test_a_model_of_others_is_forbidden_and_no_model_is_not_there() -> None:
    who = caller("x")
    with pytest.raises(PermissionDenied) as forbidden:
        authorize(snapshot(who), who, "m")
    assert (forbidden.value.status, forbidden.value.code) == (403, "model_not_found")
    for name in ("x", "unknown"):
        with pytest.raises(ModelNotFound) as missing:
            authorize(snapshot(who), who, name)
        assert (missing.value.status, missing.value.param) == (404, "model")


def test_a_name_behind_a_family_of_others_is_forbidden_as_well() -> None:
    who = caller("x")
    one = snapshot(who)
    served = one.models.get("m")
    assert served is not None
    made: list[str] = []

    def make(name: str) -> ServedModel:
        made.append(name)
        return served

    found = msgspec.structs.replace(one, models=Catalog(Names([Model(name="fam-*")]), make))
    made.clear()
    with pytest.raises(PermissionDenied):
        authorize(found, who, "fam-1")
    # Nobody who may not use it makes the gateway remember it.
    assert made == []


def test_a_long_name_is_shortened() -> None:
    who = caller("*")
    with pytest.raises(ModelNotFound) as missing:
        authorize(snapshot(who), who, "x" * 100_000)
    assert len(missing.value.message) < 1000


@pytest.mark.parametrize(
    ("rest", "good"),
    [
        ("x", True),
        ("x" * 252, True),
        ("\u00e9 \u4e2d", True),
        ("x" * 253, False),
        ("x\r\nset-cookie: a=b", False),
        ("\x1b[2J", False),
        ("\u202e", False),
        ("\ud800", False),
    ],
)
def test_a_name_of_a_family_is_of_256_characters_that_can_be_seen(rest: str, good: bool) -> None:
    asked: list[str] = []
    who = caller("*")
    one = snapshot(who)
    served = one.models.get("m")
    assert served is not None

    def make(name: str) -> ServedModel:
        asked.append(name)
        return served

    found = msgspec.structs.replace(one, models=Catalog(Names([Model(name="fam-*")]), make))
    asked.clear()
    name = f"fam-{rest}"
    if good:
        assert authorize(found, who, name) is served
        assert asked == [name]
        return
    with pytest.raises(ModelNotFound) as missing:
        authorize(found, who, name)
    assert (missing.value.status, missing.value.code) == (404, "model_not_found")
    # Nothing was made for it, and nothing is remembered.
    assert asked == []


def test_a_name_that_the_configuration_has_may_be_any() -> None:
    who, name = caller("*"), "m" * 300
    one = snapshot(who)
    served = one.models.get("m")
    assert served is not None
    models = Catalog(Names([Model(name=name)]), lambda _: served)
    assert authorize(msgspec.structs.replace(one, models=models), who, name) is served


@pytest.mark.parametrize(
    ("models", "seen"), [(("*",), ["m"]), (("m",), ["m"]), (("x", "m"), ["m"]), (("x",), [])]
)
def test_a_token_sees_what_it_may_use(models: tuple[str, ...], seen: list[str]) -> None:
    who = caller(*models)
    assert [model.name for model in visible(snapshot(who), who)] == seen
