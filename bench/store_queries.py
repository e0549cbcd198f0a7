"""How long what a dashboard asks takes, with many requests on record.

    python -m bench.store_queries --rows 10_000_000 --postgresql

fills a database with requests of 30 days, with their attempts and roll-ups, which takes about six
minutes and 6 GB for ten million, and asks each question some times over. With `--url` the
database stays, and is not filled again.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, create_engine, event, func, select

from gateway.store.engine import migrate
from gateway.store.engine.database import Database
from gateway.store.engine.ids import time_of
from gateway.store.engine.schema import requests
from gateway.store.queries import request_log, stats, usage
from gateway.store.queries.filters import Filter
from tests.postgres import PostgresServer
from tests.store.filling import NEEDLE, RARE_MODEL, RARE_TOKEN, fill, settle

DAYS: Final = 30
ROUNDS: Final = 9
HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
# Milliseconds that a question may take, in the middle of its times...
FIGURE: Final = 50
# ...but for these, which read all of their time's rows.
NO_FIGURE: Final = {"last 24 h by token", "30 days by model", "page: 24 h by latency",
                    "summary of 24 h"}  # fmt: skip

FILTERS: Final[dict[str, Filter]] = {
    "all": Filter(),
    "one model": Filter(model=("model-a",)),
    "two models": Filter(model=("model-a", "model-l")),
    "a rare token": Filter(token=(RARE_TOKEN,)),
    "errors": Filter(status=("error",)),
    "status 429": Filter(status=("429",)),
    "model and errors": Filter(model=("model-l",), status=("error",)),
    "rare model and errors": Filter(model=(RARE_MODEL,), status=("error",)),
    "token and provider": Filter(token=("team-007",), provider=("mistral",)),
    "model and provider, never together": Filter(model=("model-a",), provider=("local",)),
    "rare text": Filter(text=NEEDLE),
    "rare text and errors": Filter(text=NEEDLE, status=("error",)),
    "a user": Filter(user=("user-19999",)),
}

Ask = Callable[[Connection], Any]


def questions(end: int, request_id: str) -> dict[str, Ask]:
    """Return what is asked of requests up to `end`, which is a full hour in microseconds."""
    # Not on the hour, so that minutes are needed at both ends.
    until = end - 23 * 60_000_000
    last_day = Filter(since=until - DAY_US, until=until)
    asked: dict[str, Ask] = {
        "last 24 h by model": lambda c: usage.usage(c, last_day, group_by=["model"]),
        "last 24 h by token": lambda c: usage.usage(c, last_day, group_by=["token"]),
        "30 days by model": lambda c: usage.usage(
            c, Filter(since=until - 29 * DAY_US, until=until), group_by=["model"]
        ),
        "one request by id": lambda c: request_log.one(c, request_id),
    }
    for name, wanted in FILTERS.items():
        asked[f"page: {name}"] = partial(first, wanted)
        asked[f"third page: {name}"] = partial(third, wanted)
    asked |= {
        "page: 24 h by latency": lambda c: request_log.page(c, last_day, sort="latency", limit=50),
        "summary of 24 h": lambda c: stats.summary(c, last_day),
        "summary of 1 h": lambda c: stats.summary(c, Filter(since=until - HOUR_US, until=until)),
        "health of 15 min": lambda c: stats.health(c, minutes=15, now=end / 1e6),
    }
    return asked


_cursors: dict[Filter, str | None] = {}


def first(wanted: Filter, connection: Connection) -> Any:
    return request_log.page(connection, wanted, limit=50)


def third(wanted: Filter, connection: Connection) -> Any:
    """Ask for the third page; the first time, that is, for those before it as well."""
    if wanted not in _cursors:
        second = request_log.page(connection, wanted, limit=50).next
        after = second and request_log.page(connection, wanted, limit=50, after=second).next
        _cursors[wanted] = after
    after = _cursors[wanted]
    return after and request_log.page(connection, wanted, limit=50, after=after)


def measure(database: Database, console: Console) -> bool:
    """Print how long each question takes; return whether all that have a figure keep to it."""
    _cursors.clear()
    newest = select(requests.c.id, requests.c.request_id).order_by(requests.c.id.desc()).limit(1)
    last = database.read_now(lambda connection: connection.execute(newest).one())
    end = -(-time_of(last.id) // HOUR_US) * HOUR_US
    table = Table(title=database.dialect, title_justify="left")
    for column in ("question", "best ms", "median ms", "worst ms"):
        table.add_column(column, justify="left" if column == "question" else "right")
    kept = True
    for name, ask in questions(end, last.request_id).items():
        database.read_now(ask, 600)
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            database.read_now(ask, 600)
            times.append((time.perf_counter() - began) * 1000)
        median = statistics.median(times)
        kept = kept and (median < FIGURE or name in NO_FIGURE)
        table.add_row(name, *(f"{each:.1f}" for each in (min(times), median, max(times))))
    console.print(table)
    return kept


def prepare(url: str, rows: int, console: Console) -> Database:
    """Return the database, with `rows` requests in it if it had none."""
    database = Database(url, Path())
    migrate.upgrade(database)
    count = database.read_now(
        lambda connection: connection.execute(select(requests.c.id).limit(1)).first()
    )
    if count is None:
        console.print(f"filling {database.name} with {rows:,} requests")
        began = time.perf_counter()
        _fill(url, rows)
        console.print(f"filled in {time.perf_counter() - began:.0f} s")
    return database


def _fill(url: str, rows: int) -> None:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _hasten)
    end = int(time.time() * 1e6) // HOUR_US * HOUR_US
    with engine.begin() as connection:
        fill(connection, rows, end=end, days=DAYS)
        assert connection.execute(select(func.count()).select_from(requests)).scalar_one() > 0
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            settle(connection.execution_options(isolation_level="AUTOCOMMIT"))
    engine.dispose()


def _hasten(driver: Any, _: Any) -> None:
    # Nothing of it must outlast a crash, and all of it is one transaction.
    driver.execute("PRAGMA synchronous = OFF")
    driver.execute("PRAGMA cache_size = -500000")


@contextlib.contextmanager
def databases(arguments: argparse.Namespace, console: Console) -> Iterator[list[Database]]:
    with contextlib.ExitStack() as stack:
        urls = list(arguments.url)
        if not urls:
            folder = stack.enter_context(tempfile.TemporaryDirectory(dir=arguments.folder))
            urls.append(f"sqlite:///{folder}/gateway.db")
            if arguments.postgresql:
                server = stack.enter_context(PostgresServer())
                urls.append(server.url(server.new_database()))
        found = [prepare(url, arguments.rows, console) for url in urls]
        for database in found:
            stack.callback(database.close)
        yield found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--url", action="append", default=[], help="a database that is to stay")
    parser.add_argument("--postgresql", action="store_true", help="a server of its own, too")
    parser.add_argument("--folder", help="where the SQLite file is made")
    arguments = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 100)
    with databases(arguments, console) as found:
        kept = [measure(database, console) for database in found]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
