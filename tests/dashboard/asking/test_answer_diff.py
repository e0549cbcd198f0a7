"""Two answers beside each other."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.dialects.conversation import Conversation, ConversationTurn, PartKind, text_part
from gateway.dashboard.asking.answer_diff import (
    MOST_LINES,
    AnswerDiff,
    answer_text,
    diff,
)


def side(found: AnswerDiff, kind: str) -> list[str]:
    """Return the lines of one of the two, put together again."""
    return [
        "".join(each.text for each in line.words)
        for block in found.blocks
        for line in block.lines
        if line.kind in ("same", kind)
    ]


def test_lines_and_in_them_words_are_marked() -> None:
    found = diff("Hello\nIt is sunny in Rome.\nBye", "Hello\nIt is rainy in Rome.\nBye\nOh")
    assert (found.removed, found.added, found.same, found.cut) == (1, 2, False, False)
    old, new = (
        next(line for block in found.blocks for line in block.lines if line.kind == kind)
        for kind in ("old", "new")
    )
    assert [each.text for each in old.words if each.changed] == ["sunny"]
    assert [each.text for each in new.words if each.changed] == ["rainy"]
    assert diff("a\nb", "a\nb").same
    assert diff("", "").blocks == []


@given(st.text("ab \n", max_size=40), st.text("ab \n", max_size=40))
def test_nothing_is_lost(old: str, new: str) -> None:
    found = diff(old, new)
    assert side(found, "old") == old.splitlines()
    assert side(found, "new") == new.splitlines()
    assert found.same == (old.splitlines() == new.splitlines())


def test_what_is_equal_and_far_away_is_folded() -> None:
    lines = [str(number) for number in range(100)]
    found = diff("\n".join(lines), "\n".join([*lines[:50], "x", *lines[51:]]))
    assert [(block.folded, len(block.lines)) for block in found.blocks] == [
        (True, 47), (False, 8), (True, 46)
    ]  # fmt: skip


@pytest.mark.measured
def test_long_answers_are_cut_and_take_no_time() -> None:
    old = "\n".join(f"one {number} line" for number in range(2 * MOST_LINES))
    new = "\n".join(f"another {number} line" for number in range(2 * MOST_LINES))
    started = time.process_time()
    found = diff(old, new)
    assert found.cut
    assert found.removed == MOST_LINES
    # Seconds of this process; a machine of the year 2020 takes a tenth.
    assert time.process_time() - started < 5
    # One line that never ends.
    assert diff("a " * 300_000, "b " * 300_000).cut


def test_an_answer_as_text() -> None:
    parts = [
        text_part(PartKind.REASONING, "hm"),
        text_part(PartKind.TEXT, "It is sunny."),
        text_part(PartKind.TOOL_CALL, "{}", "weather"),
    ]
    turn = ConversationTurn(role="assistant", parts=parts)
    assert answer_text(Conversation(answers=[turn])) == (
        "[reasoning]\nhm\nIt is sunny.\n[calls weather]\n{}"
    )
    two = Conversation(answers=[turn, ConversationTurn(role="assistant", parts=parts[1:2])])
    assert answer_text(two).endswith("[answer 2]\nIt is sunny.")
