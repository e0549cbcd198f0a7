from __future__ import annotations

import pytest

from gateway.core.records.usage import Usage


@pytest.mark.parametrize(
    ("usage", "text", "whole", "output"),
    [
        # A whole answer is as long as its provider says, whatever its text looks like.
        (Usage(7, 20), 500, True, 20),
        (Usage(7, 20), 5, True, 20),
        # But no text takes no tokens.
        (Usage(7, 0), 5, True, 5),
        (Usage(7, 0), 0, True, 0),
        # One that was left had not been reported to the end, or there is more than can be seen.
        (Usage(7, 0), 5, False, 5),
        (Usage(7, 1), 5, False, 5),
        (Usage(7, 20), 5, False, 20),
    ],
)
def test_output_of_an_answer_with_text(usage: Usage, text: int, whole: bool, output: int) -> None:
    found = usage.with_text(text, whole=whole)
    assert (found.input_tokens, found.output_tokens) == (7, output)
    assert found.total == 7 + output
