"""The link that is printed while there is no user."""

from __future__ import annotations

import re
from functools import partial

import pytest
import trio
from structlog.testing import capture_logs

from gateway.admin.accounts.tokens import digest_of
from gateway.process.administration.first_run import local_origin, offer_setup
from gateway.store.accounts import setup_links, users
from gateway.store.engine.database import Database
from tests.store.conftest import (
    database,
    migrated_file,
    postgresql_database,
    postgresql_databases,
    sqlite_database,
)

__all__ = [
    "database",
    "migrated_file",
    "postgresql_database",
    "postgresql_databases",
    "sqlite_database",
]

NOW = 1_800_000_000.0


async def offer(database: Database, bind: str = "127.0.0.1:8080", *, page: bool = True) -> str:
    """Return what is logged."""
    opened = trio.Event()
    opened.set()
    with capture_logs() as lines:
        await offer_setup(database, opened, bind, lambda: NOW, page=page)
    return lines[0]["link"] if lines else ""


async def test_a_link_is_printed_and_good_for_half_an_hour(database: Database) -> None:
    link = await offer(database)
    match = re.fullmatch(r"http://127\.0\.0\.1:8080/admin/setup\?token=([\w-]{43})", link)
    assert match is not None
    digest = digest_of(match[1])
    for seconds, good in ((0, True), (1799, True), (1800, False)):
        now = round((NOW + seconds) * 1_000_000)
        assert database.read_now(partial(setup_links.is_good, digest=digest, now=now)) is good


async def test_none_is_printed_once_there_is_a_user(database: Database) -> None:
    database.write_now(
        lambda c: users.create(c, user_id="u", name="u", role="viewer", password="-", now=1)
    )
    assert await offer(database) == ""


async def test_none_is_printed_without_a_page_that_it_leads_to(sqlite_database: Database) -> None:
    assert await offer(sqlite_database, page=False) == ""


async def test_a_database_that_is_down_is_no_end(sqlite_database: Database) -> None:
    sqlite_database.close()
    opened = trio.Event()
    opened.set()
    with capture_logs() as (lines):
        await offer_setup(sqlite_database, opened, "127.0.0.1:1", page=True)
    assert [line["event"] for line in lines] == ["no link for the first user: restart the gateway"]


@pytest.mark.parametrize(
    ("bind", "origin"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("localhost:80", "http://localhost:80"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("[::]:8080", "http://127.0.0.1:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("192.0.2.7:8080", None),
        ("gateway.example.com:8080", None),
        ("127.0.0.1:0", None),
        ("unix:/run/gateway.sock", None),
    ],
)
def test_where_this_machine_reaches_it(bind: str, origin: str | None) -> None:
    assert local_origin(bind) == origin
