"""The forms of keys and teams: roles, forgeries, conflicts, what is kept of a wrong form."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote, urlencode

import pytest

from gateway.admin.rights import Role
from gateway.store.control import stored_keys, stored_teams
from gateway.store.engine.database import Database
from tests.admin.controls.test_keys import entries

from ...test_application import Site, site

__all__ = ["site"]
# As nasty as a name may be.
NASTY = "a/rotate \"><img src=x onerror=alert(1)> 'é{{7*7}}"


class Person:
    """A user with a session, whose forms carry its token."""

    def __init__(self, site: Site, cookie: str) -> None:
        self.site = site
        self.cookie = cookie
        self.token = ""

    async def get(self, path: str) -> tuple[int, str]:
        answer = await self.site.ask(f"/admin/{path}", cookie=self.cookie)
        page = answer.body.decode()
        if found := re.search(r'name="csrf_token" value="([^"]+)"', page):
            self.token = found[1]
        return answer.status, page

    async def post(self, path: str, **fields: str) -> Any:
        if not self.token:
            await self.get("settings")
        body = urlencode({"csrf_token": self.token, **fields})
        return await self.site.ask(f"/admin/{path}", "POST", body, cookie=self.cookie)


async def person(site: Site, role: Role = Role.OPERATOR) -> Person:
    return Person(site, await site.cookie(role.value))


def version_in(page: str) -> str:
    found = re.search(r'name="version" value="(\d+)"', page)
    assert found, page
    return found[1]


def key_of(site: Site, name: str) -> Any:
    return site.database.read_now(lambda connection: stored_keys.find(connection, name))


def team_of(site: Site, name: str) -> Any:
    return site.database.read_now(lambda connection: stored_teams.find(connection, name))


async def test_the_life_of_a_key_in_forms(site: Site) -> None:
    ann = await person(site)
    made = await ann.post(
        "keys", name="app", rpm="60", budget_usd="20", budget_window="week", team="search",
        labels="stage=prod\r\nempty=", expires_at="90d", models="*",
    )  # fmt: skip
    page = made.body.decode()
    assert made.status == 200
    secret = re.search(r"sk-gw-[\w-]+", page)
    assert secret
    # Shown once, also in what is pasted, and never again.
    assert page.count(secret[0]) == 3
    assert secret[0] not in (await ann.get("keys/app"))[1]
    key = key_of(site, "app")
    assert (key.terms.rpm, key.terms.budget.window, key.terms.team) == (60, "week", "search")
    assert key.terms.labels == {"stage": "prod", "empty": ""}

    status, form = await ann.get("keys/app?do=edit")
    assert status == 200
    fields = {
        "do": "edit", "version": version_in(form), "models": "*", "rpm": "", "tpm": "1,000",
        "expires_at": re.search(r'name="expires_at"[^>]*value="([^"]*)"', form)[1],  # type: ignore[index]
        "budget_usd": "", "team": "", "labels": "",
    }  # fmt: skip
    assert (await ann.post("keys/app", **fields)).status == 303
    changed = key_of(site, "app")
    assert (changed.terms.rpm, changed.terms.tpm, changed.terms.budget) == (None, 1000, None)
    assert changed.terms.expires_at == key.terms.expires_at

    rotated = await ann.post("keys/app", do="rotate", overlap="3600", version="2")
    assert rotated.status == 200
    assert "is taken until" in rotated.body.decode()
    assert secret[0] not in rotated.body.decode()
    for version, do, state in (("3", "disable", "disabled"), ("4", "enable", "active"),
                               ("5", "revoke", "revoked")):  # fmt: skip
        assert (await ann.post("keys/app", do=do, version=version)).status == 303
        assert key_of(site, "app").state == state
    assert 'name="do"' not in (await ann.get("keys/app"))[1]
    log = entries(site.database)
    assert [each["action"] for each in log] == [
        *("token_created", "token_changed", "token_rotated", "token_disabled", "token_enabled"),
        "token_revoked",
    ]
    assert {each["actor"] for each in log} == {"new-operator"}
    assert "sk-gw-" not in str(log)


async def test_two_operators_cannot_overwrite_each_other(site: Site) -> None:
    ann = await person(site)
    await ann.post("keys", name="app", rpm="60", models="*")
    edit = {"do": "edit", "version": "1", "models": "*"}
    assert (await ann.post("keys/app", **edit, rpm="90")).status == 303
    answer = await ann.post("keys/app", **edit, rpm="30")
    page = answer.body.decode()
    assert answer.status == 412
    assert "Nothing was saved" in page
    assert key_of(site, "app").terms.rpm == 90
    assert re.search(r">90</td>\s*<td[^>]*>30<", page)
    # Who has seen it may go on with what they wrote.
    assert version_in(page) == "2"
    assert (await ann.post("keys/app", **{**edit, "version": "2"}, rpm="30")).status == 303
    assert key_of(site, "app").terms.rpm == 30
    for do in ("disable", "revoke", "rotate"):
        assert (await ann.post("keys/app", do=do, version="1", overlap="0")).status == 412
    assert key_of(site, "app").state == "active"
    # A form without a version says nothing of what it was made of.
    assert (await ann.post("keys/app", do="revoke")).status == 428


async def test_teams_in_forms(site: Site) -> None:
    ann = await person(site)
    assert (await ann.post("teams", name="a/b", rpm="5", budget_usd="$1,000.50")).status == 303
    team = team_of(site, "a/b")
    assert (team.terms.rpm, team.terms.budget.usd) == (5, 1000.5)
    status, page = await ann.get("teams/a%2Fb?do=edit")
    assert status == 200
    version = version_in(page)
    assert (await ann.post("teams/a/b", do="edit", version=version, rpm="7")).status == 303
    assert team_of(site, "a/b").terms.rpm == 7
    answer = await ann.post("teams/a/b", do="edit", version=version, rpm="8")
    assert answer.status == 412
    assert b"Nothing was saved" in answer.body
    assert (await ann.post("teams/a/b", do="delete", version=version)).status == 412
    now = str(team_of(site, "a/b").version)
    wrong = await ann.post("teams/a/b", do="edit", version=now, rpm="some")
    assert wrong.status == 400
    assert b"whole number" in wrong.body
    assert (await ann.post("teams/a/b", do="delete", version=now)).status == 303
    assert team_of(site, "a/b") is None


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ANALYST])
async def test_who_may_only_look_sees_no_buttons_and_changes_nothing(
    site: Site, role: Role
) -> None:
    ann = await person(site)
    await ann.post("keys", name="app", models="*")
    await ann.post("teams", name="search")
    other = await person(site, role)
    for path in ("keys", "keys/app", "teams", "teams/search"):
        status, page = await other.get(path)
        assert status == 200
        for word in ("New key", "New team", "Revoke…", "Rotate…", "Disable</button>", "Delete…",
                     'name="do"'):  # fmt: skip
            assert word not in page, (path, word)
    for path in ("new-key", "new-team", "keys/app?do=edit", "teams/search?do=delete"):
        assert (await other.get(path))[0] == 403
    for path, fields in (
        ("keys", {"name": "other", "models": "*"}),
        ("keys/app", {"do": "revoke", "version": "1"}),
        ("teams", {"name": "other"}),
        ("teams/search", {"do": "delete", "version": "1"}),
    ):
        assert (await other.post(path, **fields)).status == 403
    assert key_of(site, "app").state == "active"
    assert key_of(site, "other") is None


async def test_a_form_without_the_token_of_its_session_does_nothing(site: Site) -> None:
    ann = await person(site)
    await ann.post("keys", name="app", models="*")
    for path, fields in (
        ("keys", {"name": "x", "models": "*"}),
        ("keys/app", {"do": "revoke", "version": "1"}),
        ("teams", {"name": "x"}),
    ):
        for token in ({}, {"csrf_token": "x"}, {"csrf_token": ""}):
            body = urlencode({**token, **fields})
            answer = await site.ask(f"/admin/{path}", "POST", body, cookie=ann.cookie)
            assert answer.status == 403, (path, token)
    forged = await site.ask(
        "/admin/keys/app", "POST",
        urlencode({"csrf_token": ann.token, "do": "revoke", "version": "1"}),
        cookie=ann.cookie, host="gw:1", origin="http://evil.example",
    )  # fmt: skip
    assert forged.status == 403
    assert key_of(site, "app").state == "active"
    assert key_of(site, "x") is None


async def test_what_a_key_may_ask_past_its_models(site: Site) -> None:
    ann = await person(site)
    made = {"models": "*", "passthrough": " * , ", "overrides": "provider\r\nroute"}
    assert (await ann.post("keys", name="app", **made)).status == 200

    def permitted() -> tuple[tuple[str, ...], tuple[str, ...]]:
        terms = key_of(site, "app").terms
        return terms.passthrough, terms.overrides

    assert permitted() == (("*",), ("provider", "route"))
    fields = {"do": "edit", "models": "*", "budget_usd": ""}
    form = (await ann.get("keys/app?do=edit"))[1]
    assert 'value="provider, route"' in form
    # From a page that was open before the form had these fields.
    assert (await ann.post("keys/app", version="1", rpm="1", **fields)).status == 303
    assert permitted() == (("*",), ("provider", "route"))
    taken = {"passthrough": "", "overrides": "", **fields}
    assert (await ann.post("keys/app", version="2", **taken)).status == 303
    assert permitted() == ((), ())


WRONG: Final[tuple[tuple[dict[str, str], str, str], ...]] = (
    ({"name": ""}, "name", "Name"),
    ({"rpm": "many"}, "rpm", "whole number"),
    ({"rpm": "0"}, "rpm", ""),
    ({"budget_usd": "much"}, "budget_usd", "amount in dollars"),
    ({"budget_usd": "nan"}, "budget_usd", ""),
    ({"budget_usd": "-1"}, "budget_usd", ""),
    ({"budget_usd": "1", "budget_window": "aeon"}, "budget_usd", ""),
    ({"expires_at": "soon"}, "expires_at", "such as 90d"),
    ({"expires_at": "2001-01-01"}, "expires_at", "a time to come"),
    ({"expires_at": "9999-12-31T23:59:59-12:00"}, "expires_at", ""),
    ({"labels": "x"}, "labels", "NAME=VALUE"),
    ({"models": "no-such-model"}, "models", "no model"),
    ({"passthrough": "no-such-provider"}, "passthrough", "no provider"),
    ({"team": "t" * 201}, "team", ""),
    ({"name": "\u202e"}, "name", "printable"),
    ({"name": "taken"}, "name", "already"),
)


async def test_a_wrong_field_is_explained_and_the_rest_is_kept(site: Site) -> None:
    ann = await person(site)
    assert (await ann.post("keys", name="taken", models="*")).status == 200
    for fields, field, says in WRONG:
        answer = await ann.post("keys", **{"name": "app", "models": "*", "tpm": "77", **fields})
        page = answer.body.decode()
        assert answer.status in (400, 409), (fields, page)
        assert 'value="77"' in page, fields
        wrong = re.search(rf'id="f-{field}"[^>]*aria-invalid', page, re.DOTALL)
        assert wrong, (fields, page)
        assert says in page, fields
        assert key_of(site, "app") is None, fields


async def test_names_and_labels_are_text_wherever_they_stand(site: Site) -> None:
    ann = await person(site)
    made = await ann.post("keys", name=NASTY, team=NASTY, labels=f"l={NASTY}", models="*", rpm="1")
    assert made.status == 200, made.body.decode()
    assert (await ann.post("teams", name=NASTY, rpm="3")).status == 303
    name = quote(NASTY, safe="")
    pages = [made.body.decode()]
    for path in ("keys", "teams", f"keys/{name}", f"keys/{name}?do=edit", f"keys/{name}?do=revoke",
                 f"teams/{name}", f"teams/{name}?do=edit", f"new-team?name={name}",
                 f"new-key?team={name}", f"keys?team={name}", f"keys?text={name}"):  # fmt: skip
        status, page = await ann.get(path)
        assert status == 200, path
        pages.append(page)
    conflict = await ann.post(f"keys/{name}", do="edit", version="9", labels=f"m={NASTY}", rpm="2")
    assert conflict.status == 412
    for page in (*pages, conflict.body.decode()):
        assert "<img" not in page
        assert "49" not in page.partition("é")[2][:10]
    # Its name ends in a word that the API knows: what is done is said in the form alone.
    assert (await ann.post(f"keys/{name}", do="disable", version="1")).status == 303
    assert key_of(site, NASTY).state == "disabled"


async def test_keys_are_paged_and_sorted(site: Site) -> None:
    from pathlib import Path

    from gateway.control import keys
    from gateway.control.changes import Actor
    from gateway.control.keys import NewKey
    from gateway.control.known_keys import KnownKeys

    known = KnownKeys(site.control.config, Path("c.toml"))

    def make(connection: Any) -> None:
        for number in range(60):
            new = NewKey(name=f"k{number:02}", rpm=number + 1)
            keys.create(connection, new, known, Actor("ann", 1_790_000_000.0 + number))

    site.database.write_now(make)
    ann = await person(site, Role.VIEWER)
    for query, first, second in (("", "k00", "k50"), ("?sort=made", "k59", "k09"),
                                 ("?sort=name&order=desc", "k59", "k09")):  # fmt: skip
        _, page = await ann.get(f"keys{query}")
        shown = re.findall(r'<tr data-href="/admin/keys/([^"]+)">', page)
        assert (len(shown), shown[0]) == (50, first), query
        following = re.search(r'hx-get="/admin/(keys[^"]+)"', page)
        assert following
        _, page = await ann.get(following[1].replace("&amp;", "&"))
        shown = re.findall(r'<tr data-href="/admin/keys/([^"]+)">', page)
        assert (len(shown), shown[0]) == (10, second), query
    assert (await ann.get("keys?sort=made&cursor=x"))[0] == 400
    assert (await ann.get("keys?state=x"))[0] == 400
    assert (await ann.get("keys?sort=budget"))[0] == 200
    assert (await ann.get("keys?sort=expires&text=k1"))[0] == 200


async def test_every_page_has_an_empty_state(sqlite_database: Database) -> None:
    site = Site(sqlite_database)
    ann = await person(site)
    for path in ("keys", "keys?text=x", "teams", "teams?text=x", "sessions", "sessions?by=user",
                 "sessions?text=x&range=30d", "usage?group_by=user", "usage?group_by=team",
                 "usage?period=90d&group_by=user&measure=requests", "new-key",
                 "new-team"):  # fmt: skip
        status, page = await ann.get(path)
        assert status == 200, (path, page)
        assert (await ann.get(path.replace("?", "?nothing=1&")))[0] == 400 or "?" not in path
    for path in ("keys/none", "teams/none", "session?id=none", "session?id=none&by=user"):
        assert (await ann.get(path))[0] == 404
    assert (await ann.get("session"))[0] == 400
