from __future__ import annotations

import msgspec
import pytest

from gateway.config import schema
from gateway.config.cors import Cors
from gateway.config.keys.tables import Token
from gateway.config.listener.server import Server
from gateway.core.cache.answers import CachePolicy, ModelCache
from gateway.core.limits.budget import Budget
from gateway.core.limits.shedding import OverloadPolicy
from gateway.core.routing.attempts import RetryOverrides, RetryPolicy
from gateway.core.routing.breaker.policy import BreakerPolicy
from gateway.core.routing.hedging import HedgePolicy
from gateway.core.routing.retry_budget import RetryBudgetPolicy
from gateway.core.routing.timeouts import TimeoutOverrides, Timeouts
from gateway.providers import settings

TABLES: list[type[msgspec.Struct]] = [
    schema.Config,
    Server,
    settings.Provider,
    schema.Route,
    schema.Model,
    Token,
    schema.Log,
    Cors,
    schema.LimitsConfig,
    settings.Probe,
    schema.Admin,
    Timeouts,
    TimeoutOverrides,
    RetryPolicy,
    RetryOverrides,
    RetryBudgetPolicy,
    BreakerPolicy,
    OverloadPolicy,
    CachePolicy,
    ModelCache,
    HedgePolicy,
    Budget,
]


@pytest.mark.parametrize("table", TABLES)
def test_every_table_is_frozen_and_forbids_unknown_keys(table: type[msgspec.Struct]) -> None:
    config = table.__struct_config__
    assert config.frozen
    assert config.forbid_unknown_fields


WITHOUT_DEFAULTS = {settings.Provider, schema.Route, schema.Model, Token, schema.Admin} | {
    ModelCache,
    Budget,
}


@pytest.mark.parametrize("table", [table for table in TABLES if table not in WITHOUT_DEFAULTS])
def test_an_empty_table_is_valid(table: type[msgspec.Struct]) -> None:
    assert msgspec.convert({}, table) == table()


@pytest.mark.parametrize("table", TABLES)
def test_defaults_obey_their_own_types(table: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(table):
        if not field.required and field.default is not msgspec.NODEFAULT:
            default = msgspec.to_builtins(field.default)
            assert msgspec.convert(default, field.type) == field.default


def test_what_a_model_overrides_of_retry_is_part_of_it() -> None:
    fields = {field.name: field for field in msgspec.structs.fields(RetryPolicy)}
    for field in msgspec.structs.fields(RetryOverrides):
        assert field.default is None
        # The same range, and optional.
        assert field.type == fields[field.name].type | None
