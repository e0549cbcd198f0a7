"""`/admin/api/setup`: the first user, made by whoever holds the one-time link of the start.

The link is printed to the log of the gateway, is good for half an hour and until there is a user,
and works on the gateway's own machine only: someone who can read the log there could as well run
`gateway users create`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.responses import Response

from ...core.records.audit import AuditAction, AuditResult
from ...errors import PermissionDenied
from ...store.accounts import setup_links
from ..request import AdminRequest
from ..rights import Role
from .rules import valid_name, valid_password
from .session import signed_in
from .tokens import digest_of, is_token, new_user_id

_OVER: Final = (
    "the link is not good, was used, or is over; restart the gateway for a new one, or run"
    " `gateway users create` on its machine"
)


class FirstUser(msgspec.Struct, forbid_unknown_fields=True):
    """`token` is the one in the link."""

    token: str
    name: str
    password: str


async def set_up(request: AdminRequest) -> Response:
    """Make the first user, an admin, and sign them in."""
    sign_ins = request.sign_ins
    if not request.arrival.local:
        raise PermissionDenied(
            "the first user is made on the gateway's own machine, at http://127.0.0.1 or with"
            " `gateway users create`",
            code="not_local",
        )
    given = await request.json(FirstUser)
    name = valid_name(given.name)
    password = valid_password(given.password, name)
    digest = digest_of(given.token) if is_token(given.token) else ""
    now = sign_ins.now
    # Before the costly part, and again in the transaction that makes the user.
    good = await request.database.read(
        lambda connection: setup_links.is_good(connection, digest, now)
    )
    if not good:
        request.audit(AuditAction.USER_CREATED, AuditResult.REFUSED, why="setup_link")
        raise PermissionDenied(_OVER, code="setup_link_over")
    hashed = await sign_ins.hashes.hash(password)

    def work(connection: Any) -> Any:
        return setup_links.redeem(
            connection,
            digest,
            user_id=new_user_id(),
            name=name,
            role=Role.ADMIN.value,
            password=hashed,
            now=now,
        )

    made = await request.database.write(work)
    if made is None:
        request.audit(AuditAction.USER_CREATED, AuditResult.REFUSED, why="setup_link")
        raise PermissionDenied(_OVER, code="setup_link_over")
    request.audit(
        AuditAction.USER_CREATED, AuditResult.OK, name, new={"role": made.role}, by="setup_link"
    )
    begun = await sign_ins.begin(
        made, hashed, request.arrival, request.http.headers.get("user-agent"), ()
    )
    if begun is None:
        raise PermissionDenied(_OVER, code="setup_link_over")
    return signed_in(request, begun, 201)
