"""Who may act: every form by every role, without its token, and with another's."""

from __future__ import annotations

from gateway.admin.rights import OF_SCOPE, Right, Role
from gateway.core.records.audit import AuditAction
from gateway.dashboard.routes import ROUTES

from .conftest import Acting

_OWN = {"/admin/sign-in", "/admin/sign-out"}
_FORMS = [
    (route.path.replace("{id:path}", "none"), route.right)
    for route in ROUTES
    if route.method == "POST" and route.path not in _OWN
]


async def test_who_may_not_is_refused_and_nothing_happens(site: Acting) -> None:
    assert len(_FORMS) >= 8
    for role in Role:
        for path, right in _FORMS:
            answer = await site.act(path, role.value)
            allowed = right in OF_SCOPE[role.value]
            # What they name is not there, so none of them does anything.
            assert (answer.status != 403) is allowed, (path, role)
            if not allowed:
                assert b"needs the right" in answer.body
    for path, _ in _FORMS:
        assert (await site.ask(path, "POST", "a=b")).status == 401, path
    allowed_reloads = sum(Right.OPERATE in OF_SCOPE[role.value] for role in Role)
    assert len(site.seen(AuditAction.CONFIG_RELOADED)) == allowed_reloads


async def test_without_the_token_of_the_session_nothing_happens(site: Acting) -> None:
    await site.know("admin")
    for path, _ in _FORMS:
        for token in ("", "x", site.tokens["admin"]):
            answer = await site.act(path, "operator", csrf_token=token)
            assert answer.status == 403, path
            assert b"CSRF token" in answer.body
        cookie = site.cookies["operator"]
        answer = await site.ask(
            path, "POST", f"csrf_token={site.tokens['operator']}", cookie=cookie,
            host="gw:1", origin="http://evil.example",
        )  # fmt: skip
        assert answer.status == 403, path
    assert site.seen(AuditAction.CONFIG_RELOADED) == []


async def test_buttons_are_for_those_who_may(site: Acting) -> None:
    for path, button in (
        ("/admin/models", b"/drain"),
        ("/admin/settings", b"settings/reload"),
        ("/admin/debug", b"debug/capture"),
        ("/admin/playground", b'value="grant"'),
    ):
        for role in Role:
            answer = await site.see(path, role.value)
            may = Right.OPERATE in OF_SCOPE[role.value]
            if answer.status == 200:
                assert (button in answer.body) is may, (path, role)
