from __future__ import annotations

from gateway.core.routing.causes import Cause
from gateway.core.routing.refusals import Mark, RefusalTable

REJECTED = frozenset({Cause.REJECTED})
TABLE = RefusalTable(
    {418: Cause.SERVER_ERROR},
    (
        Mark(b"one", Cause.CONTEXT_LENGTH, REJECTED),
        Mark(b"two", Cause.CONTENT_POLICY, REJECTED | {Cause.SERVER_ERROR}, frozenset({400, 500})),
    ),
)


def test_a_status_of_the_table_means_more_than_its_class() -> None:
    statuses = (200, 304, 400, 418, 500)
    assert [TABLE.of_status(status) for status in statuses] == [
        None,
        Cause.PROTOCOL_VIOLATION,
        Cause.REJECTED,
        Cause.SERVER_ERROR,
        Cause.SERVER_ERROR,
    ]


def test_the_first_mark_that_is_found_counts() -> None:
    assert TABLE.of_body(Cause.REJECTED, 400, b"two one") is Cause.CONTEXT_LENGTH
    assert TABLE.of_body(Cause.REJECTED, 400, b"two") is Cause.CONTENT_POLICY


def test_a_mark_counts_only_for_its_causes_and_statuses() -> None:
    assert TABLE.of_body(Cause.SERVER_ERROR, 500, b"one") is Cause.SERVER_ERROR
    assert TABLE.of_body(Cause.SERVER_ERROR, 500, b"two") is Cause.CONTENT_POLICY
    assert TABLE.of_body(Cause.REJECTED, 422, b"two") is Cause.REJECTED
