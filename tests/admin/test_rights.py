"""The table of rights is total, and roles are ordered."""

from __future__ import annotations

import itertools
import typing

import pytest

from gateway.admin.application import AdminApi
from gateway.admin.rights import (
    METRICS_SCOPE,
    OF_SCOPE,
    ROUTES,
    Right,
    Role,
    highest_role,
    rights_of,
)
from gateway.admin.route import AdminRoute
from gateway.admin.routes import all_routes
from gateway.config.schema import AdminScope

from .world import World


def test_every_route_has_a_right_and_every_right_a_route() -> None:
    assert {(each.method, each.path) for each in all_routes()} == set(ROUTES)


async def test_a_route_without_a_right_is_not_served() -> None:
    api = World().api
    with pytest.raises(ValueError, match="POST new has no right"):
        AdminApi(api._resources, [AdminRoute("POST", "new", all_routes()[0].handler)])


def test_the_configuration_knows_the_same_scopes() -> None:
    assert set(typing.get_args(AdminScope)) == {*Role, METRICS_SCOPE} == set(OF_SCOPE)


def test_a_role_has_the_rights_of_those_before_it() -> None:
    rights = [OF_SCOPE[METRICS_SCOPE], *(OF_SCOPE[role] for role in Role)]
    assert all(less < more for less, more in itertools.pairwise(rights))
    assert rights[-1] == set(Right)


def test_scopes_add_up() -> None:
    assert rights_of(()) == rights_of(("unknown",)) == frozenset()
    assert rights_of(("metrics", "analyst")) == OF_SCOPE[Role.ANALYST]
    assert highest_role(("viewer", "operator", "metrics")) is Role.OPERATOR
    assert highest_role(("metrics",)) is None
