from __future__ import annotations

from typing import Any

import pytest

from gateway.config.catalog import Names
from gateway.config.checks.observability import check_records
from gateway.config.schema import Config, DebugLog, Log, Model, Route, Store, TracingConfig

NAMES = Names([Model(name="m"), Model(name="f/*", routes=(Route(provider="p", model="*"),))])


def problems(*, unread: bool = False, **fields: Any) -> list[str]:
    return list(check_records(Config(**fields), NAMES, unread))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"store": Store(url="")},
        {"store": Store(url="sqlite:////var/lib/gateway.db")},
        {"store": Store(url="postgresql+psycopg://u:p@h/d")},
        {"store": Store(url="postgres://u@/d?host=/run/postgresql")},
        {"debug_log": DebugLog(models=("m", "f/x", "f/*", "*"), redact=("messages[*].content",))},
        {"tracing": TracingConfig(endpoint="https://h:4318/v1/traces", headers={"api-key": "x"})},
    ],
)
def test_what_is_right(fields: dict[str, Any]) -> None:
    assert problems(**fields) == []


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        *(
            ({"store": Store(url=url)}, "[store] url: is not sqlite:///FILE or")
            for url in (
                *("gateway.db", "sqlite:", "sqlite://", "sqlite:///", "sqlite:///:memory:"),
                *("sqlite:///x.db?mode=ro", "sqlite://host/x.db", "postgresql://h:port/d"),
            )
        ),
        ({"store": Store(url="mysql://u:canary@h/d")}, "[store] url: is not sqlite:///FILE or"),
        ({"log": Log(session_headers=("a b",))}, "[log] session_headers: 'a b' is not a header"),
        (
            {"log": Log(metadata_headers=("X-Api-Key",))},
            "[log] metadata_headers: 'X-Api-Key' holds",
        ),
        ({"log": Log(metadata_headers=("api-key",))}, "[log] metadata_headers: 'api-key' holds"),
        (
            {"log": Log(session_headers=("x-auth-token",))},
            "[log] session_headers: 'x-auth-token' holds",
        ),
        ({"debug_log": DebugLog(models=("n",))}, "[debug_log] models: there is no model 'n'"),
        ({"debug_log": DebugLog(redact=("a", "a[1:2]"))}, "[debug_log] redact[1]: "),
        (
            {"tracing": TracingConfig(endpoint="localhost:4318")},
            "[tracing] endpoint: not a URL such as",
        ),
        (
            {"tracing": TracingConfig(endpoint="http://h:99999")},
            "[tracing] endpoint: not a URL such as",
        ),
        (
            {"tracing": TracingConfig(headers={"a b": "x"})},
            "[tracing] headers.a b: not a header name",
        ),
        (
            {"tracing": TracingConfig(headers={"a": "x\ncanary"})},
            "[tracing] headers.a: has a line break",
        ),
    ],
)
def test_what_is_wrong(fields: dict[str, Any], problem: str) -> None:
    (found,) = problems(**fields)
    assert found.startswith(problem)
    assert "canary" not in found


def test_of_models_that_could_not_be_read_nothing_is_said() -> None:
    assert problems(unread=True, debug_log=DebugLog(models=("n",))) == []
