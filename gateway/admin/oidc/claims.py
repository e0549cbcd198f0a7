"""Which name and which role the claims of an ID token give."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from ...core.sign_in import OidcSettings
from ...errors import PermissionDenied
from ...store.accounts.users import EXTERNAL
from ..accounts.rules import is_name, same_name
from ..rights import highest_role


class ExternalUser(msgspec.Struct, frozen=True):
    id: str
    name: str
    role: str


def external_user(claims: Mapping[str, Any], settings: OidcSettings) -> ExternalUser:
    """Raises PermissionDenied if the claims have no name that a user can have, or no role."""
    name = claims.get(settings.name_claim)
    if not isinstance(name, str) or not is_name(same_name(name)):
        raise PermissionDenied(
            f"the claim {settings.name_claim!r} of the provider has no name that a user can have",
            code="oidc_no_name",
        )
    role = highest_role(
        settings.roles[value]
        for value in _values(claims, settings.role_claim)
        if value in settings.roles
    )
    if role is None:
        raise PermissionDenied(
            f"nothing in the claim {settings.role_claim!r} of the provider is one of [admin.oidc]"
            " roles",
            code="oidc_no_role",
        )
    # A person is issuer and subject together (OpenID Connect Core, 5.7); names change hands.
    person = f"{settings.issuer}\0{claims['sub']}".encode()
    return ExternalUser(
        id=f"{EXTERNAL}{hashlib.sha256(person).hexdigest()[:32]}",
        name=same_name(name),
        role=role.value,
    )


def _values(claims: Mapping[str, Any], name: str) -> list[str]:
    """Return the values of a claim, which may be inside others: `realm_access.roles`."""
    found: Any = claims.get(name)
    if found is None:
        found = claims
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return [found]
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
