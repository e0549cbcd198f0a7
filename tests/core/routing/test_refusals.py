from __future__ import annotations

import re

from gateway.core.routing.causes import Cause
from gateway.core.routing.refusals import Mark, Refusal, RefusalTable

REJECTED = frozenset({Cause.REJECTED})


def read(body: bytes) -> Refusal:
    """Take apart `code|message`."""
    code, _, message = body.decode().partition("|")
    return Refusal(frozenset({code}), message, 3.5 if message == "wait" else None)


TABLE = RefusalTable(
    {418: Cause.SERVER_ERROR},
    (
        Mark(Cause.CONTEXT_LENGTH, REJECTED, codes=frozenset({"one"})),
        Mark(
            Cause.CONTENT_POLICY,
            REJECTED | {Cause.SERVER_ERROR},
            frozenset({400, 500}),
            words=re.compile("two").search,
        ),
    ),
    read,
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
    assert TABLE.of_body(Cause.REJECTED, 400, b"one|two") is Cause.CONTEXT_LENGTH
    assert TABLE.of_body(Cause.REJECTED, 400, b"|two") is Cause.CONTENT_POLICY


def test_a_mark_counts_only_for_its_causes_and_statuses() -> None:
    assert TABLE.of_body(Cause.SERVER_ERROR, 500, b"one|") is Cause.SERVER_ERROR
    assert TABLE.of_body(Cause.SERVER_ERROR, 500, b"|two") is Cause.CONTENT_POLICY
    assert TABLE.of_body(Cause.REJECTED, 422, b"|two") is Cause.REJECTED


def test_codes_are_no_words_and_words_no_codes() -> None:
    assert TABLE.of_body(Cause.REJECTED, 400, b"two|one") is Cause.REJECTED


def test_a_body_that_says_nothing_changes_nothing() -> None:
    assert TABLE.of_body(Cause.REJECTED, 400, b"") is Cause.REJECTED
    assert RefusalTable({}).of_body(Cause.REJECTED, 400, b"one") is Cause.REJECTED


def test_a_body_may_ask_for_a_wait() -> None:
    assert TABLE.wait_of(b"one|wait") == 3.5
    assert TABLE.wait_of(b"one|") is None
    assert RefusalTable({}).wait_of(b"one|wait") is None
