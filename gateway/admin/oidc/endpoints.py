"""`/admin/api/oidc/start` sends a browser to the provider, `callback` takes it back."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import structlog
from starlette.responses import Response

from ...core.admin_path import outside
from ...core.records.audit import AuditAction, AuditResult
from ...core.sign_in import OidcSettings
from ...errors import GatewayError, NotFound, PermissionDenied
from ...store.accounts import users
from ...store.accounts.users import Refused, User
from ..accounts.cookies import session_tokens, set_cookie
from ..accounts.redirects import SIGN_IN_PAGE, back_from_sign_in
from ..request import AdminRequest
from .claims import ExternalUser, external_user
from .handshake import Handshake, clear_handshake, handshake_of
from .provider import OidcHttp, OidcProvider

CALLBACK: Final = "/admin/api/oidc/callback"
# What the column of passwords has for users who come from a provider: no password matches it.
NO_PASSWORD: Final = "oidc"  # noqa: S105  # it is none

_log = structlog.get_logger(__name__)


class OidcEndpoints:
    """Keeps what is known of the provider until a reload changes its settings."""

    def __init__(self) -> None:
        self._provider: OidcProvider | None = None

    async def start(self, request: AdminRequest) -> Response:
        """Send the browser to the provider; `next` is a page of ours to go to afterwards."""
        request.only("next")
        provider = self._of(request)
        handshake = Handshake.begin()
        back = back_from_sign_in(request.text("next", ""))
        try:
            url = await provider.authorization_url(
                handshake, _redirect_uri(request, provider.settings), back
            )
        except GatewayError as exc:
            return _failed(request, exc)
        answer = Response(status_code=303, headers={"location": url})
        answer.headers.append("set-cookie", handshake.cookie(secure=request.arrival.secure))
        return answer

    async def callback(self, request: AdminRequest) -> Response:
        """Begin a session of whom the provider says it is."""
        provider, sign_ins = self._of(request), request.sign_ins
        try:
            handshake = handshake_of(request.http.scope["headers"])
            back = None if handshake is None else handshake.back(request.text("state", ""))
            if handshake is None or back is None:
                raise PermissionDenied(
                    "this sign-in was not begun in this browser, or took too long; begin again",
                    code="oidc_state",
                )
            code = request.text("code", "")
            if not code:
                raise PermissionDenied("the provider has refused the sign-in", code="oidc_denied")
            redirect_uri = _redirect_uri(request, provider.settings)
            claims = await provider.claims(code, handshake, redirect_uri)
            external = external_user(claims, provider.settings)
            user = await self._stored(request, external)
            begun = await sign_ins.begin(
                user,
                NO_PASSWORD,
                request.arrival,
                request.http.headers.get("user-agent"),
                session_tokens(request.http.scope["headers"]),
                counted=False,
            )
            if begun is None:
                raise PermissionDenied("the user is disabled", code="user_disabled")
        except GatewayError as exc:
            return _failed(request, exc)
        sign_ins.note_sign_in(user.name, request.arrival, {"by": "oidc"})
        answer = Response(status_code=303, headers={"location": back})
        secure = request.arrival.secure
        answer.headers.append(
            "set-cookie", set_cookie(begun.token, secure=secure, seconds=begun.seconds)
        )
        answer.headers.append("set-cookie", clear_handshake(secure=secure))
        return answer

    async def _stored(self, request: AdminRequest, external: ExternalUser) -> User:
        """Return the user, made or changed to what the provider says now."""
        now = request.sign_ins.now

        def work(connection: Any) -> tuple[User | None, User | Refused]:
            before = users.by_id(connection, external.id)
            after = users.set_external(
                connection,
                user_id=external.id,
                name=external.name,
                role=external.role,
                password=NO_PASSWORD,
                now=now,
            )
            return before, after

        before, after = await request.database.write(work)
        if isinstance(after, Refused):
            # It is not taken over: whoever may choose a name at the provider could choose it.
            raise PermissionDenied(
                f"there is another user {external.name!r} here", code="name_taken"
            )
        if before is None:
            request.audit(
                AuditAction.USER_CREATED,
                AuditResult.OK,
                after.name,
                new={"role": after.role},
                by="oidc",
            )
        elif (before.name, before.role) != (after.name, after.role):
            request.audit(
                AuditAction.USER_CHANGED,
                AuditResult.OK,
                after.name,
                old={"name": before.name, "role": before.role},
                new={"name": after.name, "role": after.role},
                by="oidc",
            )
        return after

    def _of(self, request: AdminRequest) -> OidcProvider:
        settings = request.resources.snapshot().admin_settings.oidc
        http: OidcHttp | None = request.resources.oidc_http
        if settings is None or http is None:
            raise NotFound("there is no [admin.oidc] in the configuration", code="oidc_off")
        if self._provider is None or self._provider.settings != settings:
            self._provider = OidcProvider(settings, http)
        return self._provider


def _redirect_uri(request: AdminRequest, settings: OidcSettings) -> str:
    """Return our address as the provider knows it; it compares it with what it has registered."""
    if settings.redirect_uri:
        return settings.redirect_uri
    arrival = request.arrival
    return f"{'https' if arrival.secure else 'http'}://{arrival.host}{outside(CALLBACK)}"


def _failed(request: AdminRequest, error: GatewayError) -> Response:
    """Return to the sign-in page, which says why; where there is none, raise `error`."""
    _log.warning("a sign-in through the provider failed", code=error.code, error=error.message)
    request.sign_ins.note_refusal(request.arrival, error.code)
    if not request.resources.snapshot().admin_settings.dashboard:
        raise error
    answer = Response(
        status_code=303, headers={"location": f"{outside(SIGN_IN_PAGE)}?error={quote(error.code)}"}
    )
    answer.headers.append("set-cookie", clear_handshake(secure=request.arrival.secure))
    return answer
