"""From claims to name and role."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.admin.oidc.claims import external_user
from gateway.core.sign_in import OidcSettings
from gateway.errors import PermissionDenied

pytestmark = pytest.mark.slow

SETTINGS = OidcSettings(
    issuer="https://login.example.com",
    client_id="gateway",
    roles={"staff": "viewer", "ops": "operator", "https://x.y/role": "admin"},
)
CLAIMS = {"sub": "s-1", "preferred_username": "Ann@example.com", "groups": ["other", "staff"]}


def test_a_user() -> None:
    user = external_user(CLAIMS, SETTINGS)
    assert (user.name, user.role) == ("ann@example.com", "viewer")
    assert user.id.startswith("oidc_")
    # Of a person, whatever the name is.
    assert external_user({**CLAIMS, "preferred_username": "bob"}, SETTINGS).id == user.id
    assert external_user({**CLAIMS, "sub": "s-2"}, SETTINGS).id != user.id
    other = msgspec.structs.replace(SETTINGS, issuer="https://login.example.org")
    assert external_user(CLAIMS, other).id != user.id


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        ("ops", "operator"),
        (["staff", "ops"], "operator"),
        (["ops", "staff"], "operator"),
        (["staff", 7, None, "https://x.y/role"], "admin"),
    ],
)
def test_the_highest_role_counts(groups: Any, role: str) -> None:
    assert external_user({**CLAIMS, "groups": groups}, SETTINGS).role == role


@pytest.mark.parametrize("groups", [None, [], "", "admin", ["Staff", "operator"], {"ops": 1}, 7])
def test_without_a_role_there_is_no_way_in(groups: Any) -> None:
    with pytest.raises(PermissionDenied) as caught:
        external_user({**CLAIMS, "groups": groups}, SETTINGS)
    assert caught.value.code == "oidc_no_role"


@pytest.mark.parametrize("name", [None, 7, "", "with space", "änn", ["ann"], "x" * 65])
def test_a_name_that_no_user_can_have(name: Any) -> None:
    with pytest.raises(PermissionDenied) as caught:
        external_user({**CLAIMS, "preferred_username": name}, SETTINGS)
    assert caught.value.code == "oidc_no_name"


def test_claims_inside_of_others() -> None:
    inside = msgspec.structs.replace(SETTINGS, role_claim="realm_access.roles", name_claim="email")
    claims = {"sub": "s", "email": "a@b.c", "realm_access": {"roles": ["ops"]}}
    assert external_user(claims, inside).role == "operator"
    # A claim whose name has dots of its own.
    named = {"sub": "s", "email": "a@b.c", "realm_access.roles": "staff"}
    assert external_user(named, inside).role == "viewer"
    with pytest.raises(PermissionDenied):
        external_user({**claims, "realm_access": "ops"}, inside)
