from __future__ import annotations

import msgspec
import pytest

from gateway.config import schema
from gateway.core.routing.attempts import RetryPolicy
from gateway.core.timeouts import TimeoutOverrides, Timeouts

TABLES: list[type[msgspec.Struct]] = [
    schema.Config,
    schema.Server,
    schema.Provider,
    schema.Route,
    schema.Model,
    schema.Token,
    schema.Log,
    Timeouts,
    TimeoutOverrides,
    RetryPolicy,
]


@pytest.mark.parametrize("table", TABLES)
def test_every_table_is_frozen_and_forbids_unknown_keys(table: type[msgspec.Struct]) -> None:
    config = table.__struct_config__
    assert config.frozen
    assert config.forbid_unknown_fields


@pytest.mark.parametrize(
    "table", [schema.Config, schema.Server, schema.Log, Timeouts, TimeoutOverrides, RetryPolicy]
)
def test_an_empty_table_is_valid(table: type[msgspec.Struct]) -> None:
    assert msgspec.convert({}, table) == table()


@pytest.mark.parametrize("table", TABLES)
def test_defaults_obey_their_own_types(table: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(table):
        if not field.required and field.default is not msgspec.NODEFAULT:
            default = msgspec.to_builtins(field.default)
            assert msgspec.convert(default, field.type) == field.default
