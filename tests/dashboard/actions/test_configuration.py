"""Reloading and checking from the page, in process."""

from __future__ import annotations

from gateway.config.reload_status import ReloadOutcome
from gateway.core.records.audit import AuditAction, AuditResult
from gateway.store.engine.database import Database
from tests.api.control import Scripted

from .conftest import CONFIG, Acting

_CHECK = "/admin/settings/check"
_GOOD = (
    '[providers.p]\nkind = "demo"\n'
    '[[models]]\nname = "m"\nroutes = [{ provider = "p", model = "y" }]\n'
    '[[tokens]]\nname = "app"\nkey = "sk-another-key"\n'
)


async def test_a_reload_says_how_it_went(sqlite_database: Database) -> None:
    control = Scripted(config=CONFIG)
    site = Acting(sqlite_database, control=control)
    assert b"read again" in (await site.see("/admin/settings/reload")).body
    page = await site.follow(await site.act("/admin/settings/reload"))
    assert "Generation <strong>2</strong> is in use" in page
    assert control.causes == ["user new-operator"]
    control._outcome = ReloadOutcome(2, problems=("[server] bind: <i>bad</i>", "two"))
    page = await site.follow(await site.act("/admin/settings/reload"))
    assert "what was in use before still is: <strong>2 problems</strong>" in page
    results = [each.result for each in site.seen(AuditAction.CONFIG_RELOADED)]
    assert results == [AuditResult.OK, AuditResult.FAILED]


async def test_a_pasted_file_is_checked_and_compared(site: Acting) -> None:
    assert b"Check and compare" in (await site.see(_CHECK)).body
    page = (await site.act(_CHECK, text=_GOOD.replace("\n", "\r\n"))).body.decode()
    assert "It is valid" in page
    assert "models.m.routes" in page
    # Secrets are masked on both sides; what was pasted stands in its field.
    assert "sk-app-key" not in page
    assert page.count("sk-another-key") == 1
    page = (await site.act(_CHECK, text='[server]\nbinn = "</textarea><script>"\n')).body.decode()
    assert "It would not be taken" in page
    assert "binn" in page
    assert "</textarea><script>" not in page
    # Nothing was put into use, and nothing is written down of it.
    assert site.control.causes == []


async def test_a_file_that_is_too_large_is_refused(site: Acting) -> None:
    answer = await site.act(_CHECK, text="x" * (3 * 1024 * 1024))
    assert answer.status == 413
