from __future__ import annotations

from structlog.testing import capture_logs

from gateway.store.writing.status import DropReport, StoreStatus


def test_an_episode_is_logged_when_it_begins_and_when_it_is_over() -> None:
    status = StoreStatus()
    with capture_logs() as lines:
        status.succeeded(5)
        status.failed(OSError("first line\nof a row's content"))
        status.failed(OSError("again"))
        seen = [status.since is None]
        status.succeeded(7)
        seen.append(status.since is None)
    assert seen == [False, True]
    assert [line["event"] for line in lines] == [
        "the database takes no records",
        "the database takes records again",
    ]
    assert lines[0]["error"] == "OSError: first line"
    assert status.written == 12
    assert status.last_error == "OSError: again"


def test_drops_are_logged_when_they_begin_and_counted_when_they_end() -> None:
    drops = DropReport()
    with capture_logs() as lines:
        for total in (0, 3, 8, 20, 20, 20, 25, 25):
            drops.update(total, "disk full")
    assert [(line["event"], line.get("records")) for line in lines] == [
        ("records are dropped", None),
        ("records were dropped", 20),
        ("records are dropped", None),
        ("records were dropped", 5),
    ]


def test_all_that_is_lost_counts_as_dropped() -> None:
    status = StoreStatus(crowded_out=1, rejected=2)
    with capture_logs() as lines:
        status.lose(4)
    assert status.dropped == 7
    assert lines[0]["records"] == 4
