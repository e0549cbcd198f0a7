from __future__ import annotations

import json

import pytest

from gateway.api import operations
from gateway.config.callers import ANYONE, Caller
from gateway.config.schema import Config, Model, Route
from gateway.config.snapshot import Snapshot, build_snapshot
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.errors import ModelNotFound
from gateway.lifecycle import Lifecycle
from gateway.providers.settings import Provider
from gateway.state.health import LocalHealth

from ..providers.kinds.described import describe

SOME = Caller(name="some", digest=b"", models=frozenset({"org/b", "gone"}))


def snapshot() -> Snapshot:
    config = Config(
        providers={"p": Provider(kind="openai", base_url="http://p/v1")},
        models=(
            Model(name="z", routes=(Route(provider="p", model="x"),)),
            Model(name="org/b", alias="z"),
        ),
    )
    return build_snapshot(
        config,
        describe,
        1_700_000_000,
        LocalHealth(),
    )


def entry(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "p"}


@pytest.mark.parametrize(("caller", "names"), [(ANYONE, ["z", "org/b"]), (SOME, ["org/b"])])
def test_models_are_those_the_caller_may_use(caller: Caller, names: list[str]) -> None:
    status, headers, body = operations.models(OPENAI_CHAT, snapshot(), caller, "")
    assert (status, headers) == (200, [(b"content-type", b"application/json")])
    assert json.loads(body) == {"object": "list", "data": [entry(name) for name in names]}


def test_one_model() -> None:
    status, _, body = operations.model(OPENAI_CHAT, snapshot(), SOME, "org/b")
    assert (status, json.loads(body)) == (200, entry("org/b"))


@pytest.mark.parametrize("name", ["z", "gone", "", "org"])
def test_a_model_that_is_not_there_or_not_allowed_looks_the_same(name: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        operations.model(OPENAI_CHAT, snapshot(), SOME, name)
    error = caught.value
    assert (error.status, error.code, error.param) == (404, "model_not_found", "model")
    assert error.message == f"the model {name!r} does not exist or you do not have access to it"


def test_health_over_a_life() -> None:
    lifecycle = Lifecycle()

    def ready() -> tuple[int, str]:
        status, headers, body = operations.ready(lifecycle)
        assert (status == 503) == ((b"retry-after", b"1") in headers)
        assert operations.live()[::2] == (200, b'{"status":"ok"}')
        return status, json.loads(body)["status"]

    seen = [ready()]
    for step in (lifecycle.ready, lifecycle.start_drain, lifecycle.end_requests):
        step()
        seen.append(ready())
    assert seen == [(503, "starting"), (200, "ready"), (503, "draining"), (503, "ending")]
