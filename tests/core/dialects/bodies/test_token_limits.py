from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.dialects.bodies.token_limits import TokenLimits, read_token_limits
from gateway.core.limits.estimate import MOST_TOKENS


@pytest.mark.parametrize(
    ("raw", "tokens"),
    [
        (b"7", 7),
        (b"999999999", 999_999_999),
        # As pydantic reads integers, which most servers are written with.
        (b"4000.0", 4000),
        (b"4e3", 4000),
        (b"4E+3", 4000),
        (b"1.28e2", 128),
        (b'"4000"', 4000),
        (b'"4e3"', 4000),
        # What is refused by all who look closely is reserved as the most that it might mean.
        (b"4000.5", 4001),
        (b"9999999999", 9_999_999_999),
        (b"1e400", MOST_TOKENS),
        (b"9" * 5000, MOST_TOKENS),
        (b"4000." + b"0" * 200, 4000),
        (b"0." + b"0" * 70 + b"4e74", 4000),
        (b'"' + b"0" * 100 + b'4000"', 4000),
        (b"4000." + b"0" * 5000, MOST_TOKENS),
        (b'"\\u0034000"', 4000),
        (b'" 4000 "', 4000),
        # No limit.
        (b"null", None),
        (b"0", None),
        (b"-1", None),
        (b"-1e3", None),
        (b"1e-400", None),
        (b"true", None),
        (b"[7]", None),
        (b"{}", None),
        (b'""', None),
        (b'"many"', None),
        (b'"nan"', None),
    ],
)
def test_max_tokens(raw: bytes, tokens: int | None) -> None:
    assert read_token_limits({"model": b'"x"', "max_tokens": raw}).max_tokens == tokens


@pytest.mark.parametrize(
    ("values", "limits"),
    [
        ({}, TokenLimits()),
        # Servers differ in which of them they obey.
        ({"max_completion_tokens": b"1", "max_tokens": b"4000"}, TokenLimits(4000)),
        ({"max_tokens": b"1", "max_completion_tokens": b"4000"}, TokenLimits(4000)),
        ({"max_tokens": b"7", "max_completion_tokens": b"null"}, TokenLimits(7)),
        ({"max_tokens": b"7", "max_completion_tokens": b"-1"}, TokenLimits(7)),
        ({"max_tokens": b"7", "max_output_tokens": b"9"}, TokenLimits(9)),
        ({"max_tokens": b"7", "max_new_tokens": b"9"}, TokenLimits(9)),
        ({"max_tokens": b"7", "n_predict": b"9"}, TokenLimits(9)),
        # In llama.cpp it goes before the others, and -1 is no limit.
        ({"max_tokens": b"7", "n_predict": b"-1"}, TokenLimits()),
        ({"max_tokens": b"7000", "n_predict": b"-1"}, TokenLimits(7000)),
        # vLLM writes so many at least.
        ({"min_tokens": b"9"}, TokenLimits()),
        ({"min_tokens": b"50000"}, TokenLimits(50000)),
        ({"max_tokens": b"7", "min_tokens": b"9"}, TokenLimits(9)),
        # Go matches names without regard to case.
        ({"Max_Tokens": b"9"}, TokenLimits(9)),
        ({"MAX_COMPLETION_TOKENS": b"9", "N": b"2"}, TokenLimits(9, 2)),
        ({"n": b"1.28e2"}, TokenLimits(None, 128)),
        ({"n": b'"4"'}, TokenLimits(None, 4)),
        ({"n": b"0"}, TokenLimits()),
        ({"n": b"null"}, TokenLimits()),
        ({"n": b"2", "best_of": b"5"}, TokenLimits(None, 5)),
        ({"n": b"1e300"}, TokenLimits(None, 2**20)),
    ],
)
def test_the_most_that_any_server_reads_counts(
    values: dict[str, bytes], limits: TokenLimits
) -> None:
    assert read_token_limits(values) == limits


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_anything_can_be_read(tokens: bytes, n: bytes) -> None:
    found = read_token_limits({"max_tokens": tokens, "n": n})
    assert found.max_tokens is None or 0 < found.max_tokens <= MOST_TOKENS
    assert 1 <= found.n <= 2**20
