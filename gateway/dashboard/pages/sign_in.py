"""The way in and out, and the page that makes the first user."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from ...admin.accounts.cookies import clear_cookie, session_tokens, set_cookie
from ...errors import AuthenticationFailed, GatewayError, Overloaded, RateLimited, StoreUnavailable
from ...store.accounts import users
from .. import links
from ..page_request import PageRequest

# What is read of a password: longer ones are wrong, and cost nothing.
_LONGEST: Final = 2000
# Why somebody has come back from the provider of `[admin.oidc]` without a session, by the code in
# the address: from there only the choice among these sentences is taken.
_RETURNED: Final = {
    "oidc_state": "The sign-in was begun in another browser, or over 10 minutes ago. Try again.",
    "oidc_denied": "The sign-in was refused at the other end.",
    "oidc_no_role": "You are known there, but have no role here. Ask who runs this gateway.",
    "oidc_no_name": "What you are called there cannot be the name of a user here.",
    "name_taken": "There is another user of your name here. Ask who runs this gateway.",
    "user_disabled": "Your user is disabled here. Ask who runs this gateway.",
    "oidc_failed": "The sign-in did not work: the provider is away, or is not set up for this"
    " gateway. Its log says more.",
}
_RETURNED_OTHERWISE: Final = "The sign-in did not work. Try again; the gateway's log says more."


async def form(request: PageRequest) -> Response:
    target = links.inside(request.admin.text("next", ""))
    if request.visitor is not None:
        return request.go(target)
    error = request.admin.text("error", "")
    returned = _RETURNED.get(error, _RETURNED_OTHERWISE) if error else None
    return await _form(request, target, returned=returned)


async def sign_in(request: PageRequest) -> Response:
    fields = {name: values[-1] for name, values in (await request.admin.form()).items()}
    target, name = links.inside(fields.get("next", "")), fields.get("name", "")
    try:
        begun = await request.admin.sign_ins.sign_in(
            name,
            fields.get("password", "")[:_LONGEST],
            request.admin.arrival,
            request.http.headers.get("user-agent"),
            session_tokens(request.http.scope["headers"]),
        )
    except (AuthenticationFailed, RateLimited, Overloaded, StoreUnavailable) as exc:
        return await _form(request, target, problem=exc, name=name[:_LONGEST])
    answer = request.go(target)
    answer.headers["set-cookie"] = set_cookie(
        begun.token, secure=request.admin.arrival.secure, seconds=begun.seconds
    )
    return answer


async def sign_out(request: PageRequest) -> Response:
    """End the session, or with `everywhere` in the form all of the user's."""
    fields = await request.admin.form()
    identity = request.admin.identity
    if identity.session is not None:
        await request.admin.sign_ins.sign_out(
            identity, request.admin.arrival, everywhere="everywhere" in fields
        )
    answer = request.go(links.to("sign-in"))
    answer.headers["set-cookie"] = clear_cookie(secure=request.admin.arrival.secure)
    return answer


async def set_up(request: PageRequest) -> Response:
    """Show the form that makes the first user; the API makes it."""
    if await _people(request) == "some":
        # A link that was used leads to where people go who are there.
        return request.go(links.to("sign-in"))
    return await request.page("setup.html", token=request.admin.text("token", ""))


async def _form(
    request: PageRequest,
    target: str,
    *,
    problem: GatewayError | None = None,
    name: str = "",
    returned: str | None = None,
) -> Response:
    oidc = request.resources.snapshot().admin_settings.oidc
    answer = await request.page(
        "sign_in.html",
        status=200 if problem is None else problem.status,
        target=target,
        problem=problem and f"{problem.message[:1].upper()}{problem.message[1:]}.",
        name=name,
        returned=returned,
        people=await _people(request),
        oidc=oidc.issuer if oidc is not None else None,
    )
    if problem is not None and problem.retry_after is not None:
        answer.headers["retry-after"] = str(max(1, round(problem.retry_after)))
    return answer


async def _people(request: PageRequest) -> str:
    """Say whether anyone can sign in: "some", "none", or "off" where no user can be kept."""
    if request.database is None:
        return "off"
    try:
        return "some" if await request.read(users.exist) else "none"
    except StoreUnavailable:
        # Not known. The attempt itself says what is wrong.
        return "some"
