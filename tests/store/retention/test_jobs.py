from __future__ import annotations

import threading
from collections.abc import Callable

from gateway.store.engine.database import Database
from gateway.store.retention.jobs import claim, renew

HOUR: int = 3600 * 1_000_000


def claimed(database: Database, now: int, every: int = HOUR) -> int | None:
    return database.write_now(lambda connection: claim(connection, "job", now, every))


def test_the_first_has_it_until_it_is_due_again(database: Database) -> None:
    assert claimed(database, 1000) is None
    assert claimed(database, 1000) == 1000 + HOUR
    assert claimed(database, 999 + HOUR) == 1000 + HOUR
    assert claimed(database, 1000 + HOUR) is None


def test_jobs_are_told_apart(database: Database) -> None:
    assert claimed(database, 0) is None
    assert database.write_now(lambda connection: claim(connection, "other", 0, HOUR)) is None


def test_who_renews_keeps_it(database: Database) -> None:
    assert claimed(database, 0) is None
    database.write_now(lambda connection: renew(connection, "job", HOUR + 500))
    assert claimed(database, HOUR) == HOUR + 500


def test_a_clock_that_was_wrong_does_not_keep_it_for_ever(database: Database) -> None:
    assert claimed(database, 1000 * HOUR) is None
    assert claimed(database, 0) is None
    assert claimed(database, 1) == HOUR


def test_of_several_at_once_one_has_it(database: Database) -> None:
    for now in (0, 5 * HOUR):
        found: list[int | None] = []
        gate = threading.Barrier(6)

        def once(ask: Callable[[], int | None], gate: threading.Barrier = gate,
                 found: list[int | None] = found) -> None:  # fmt: skip
            gate.wait()
            found.append(ask())

        threads = [
            threading.Thread(target=once, args=(lambda now=now: claimed(database, now),))
            for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found.count(None) == 1
        assert found.count(now + HOUR) == 5
