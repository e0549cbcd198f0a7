"""Deployments by hand, in both databases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from gateway.config.load import parse
from gateway.control import deployments
from gateway.control.changes import Actor
from gateway.control.deployments import DeploymentChange, names_of
from gateway.core.records.audit import AuditAction
from gateway.errors import InvalidRequest, NotFound
from gateway.store.control.deployments import DeploymentOrder, all_orders
from gateway.store.control.generations import DEPLOYMENTS, Transaction, current
from gateway.store.engine.database import Database

KNOWN: Final = names_of(
    parse(
        '[providers.p]\nkind = "demo"\n'
        '[[models]]\nname = "m"\nroutes = [{ provider = "p", model = "x" }]\n'
        '[[models]]\nname = "org/*"\nroutes = [{ provider = "p", model = "*" }]\n',
        "test",
        {},
    )
)
NOW: Final = 1_790_000_000.0
WHO: Final = Actor("root", NOW)


def do(database: Database, work: Callable[[Transaction], DeploymentChange]) -> DeploymentChange:
    return database.write_now(work)


def drained(database: Database, name: str = "p/x", actor: Actor = WHO) -> DeploymentChange:
    return do(
        database, lambda connection: deployments.drain(connection, name, 60, "why", KNOWN, actor)
    )


def orders(database: Database) -> list[DeploymentOrder]:
    return database.read_now(all_orders)


def test_a_drain_and_its_end(database: Database) -> None:
    assert sorted(KNOWN) == ["p/*", "p/x"]
    change = drained(database)
    expected = DeploymentOrder(name="p/x", drained_until=NOW + 60, drained_by="root", reason="why")
    assert change.order == expected
    assert orders(database) == [expected]
    assert change.note is not None
    assert change.note.action is AuditAction.DEPLOYMENT_DRAINED
    assert change.note.details == {"for_s": 60, "reason": "why", "old": {"drained": False}}
    again = drained(database, actor=Actor("eve", NOW + 20))
    assert again.note is not None
    assert again.note.details["old"] == {
        "drained": True, "left_s": 40, "by": "root", "reason": "why"
    }  # fmt: skip
    enabled = do(database, lambda c: deployments.enable(c, "p/x", KNOWN, WHO))
    assert enabled.note is not None
    assert enabled.order == DeploymentOrder(name="p/x")
    assert do(database, lambda c: deployments.enable(c, "p/x", KNOWN, WHO)).note is None
    assert database.read_now(current)[DEPLOYMENTS] == 4


def test_resets_are_counted_and_keep_a_drain(database: Database) -> None:
    drained(database)
    for count in (1, 2):
        change = do(database, lambda c: deployments.reset(c, "p/x", KNOWN, WHO))
        assert (change.order.resets, change.order.drained_until) == (count, NOW + 60)


def test_what_is_not_there(database: Database) -> None:
    with pytest.raises(NotFound, match="'p/y'"):
        drained(database, "p/y")
    with pytest.raises(InvalidRequest, match="printable"):
        do(database, lambda c: deployments.drain(c, "p/x", 60, "a\nb", KNOWN, WHO))
    assert orders(database) == []


def test_what_is_long_over_is_forgotten(database: Database) -> None:
    drained(database)
    drained(database, "p/*", Actor("root", NOW + 2 * 86_400))
    assert [each.name for each in orders(database)] == ["p/*"]
