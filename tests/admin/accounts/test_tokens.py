"""Tokens cannot be guessed, and what is made of them does not give them away."""

from __future__ import annotations

import pytest

from gateway.admin.accounts.tokens import csrf_token, digest_of, is_token, new_token, same

pytestmark = pytest.mark.slow


def test_tokens_have_256_bits_and_are_all_different() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(is_token(each) and len(each) == 43 for each in tokens)


@pytest.mark.parametrize("text", ["", "x", "x" * 42, "x" * 44, "x" * 42 + "ü", "x" * 43 + "\n"])
def test_what_is_no_token(text: str) -> None:
    assert not is_token(text)


def test_what_is_made_of_a_token_does_not_have_it() -> None:
    token = new_token()
    made = {digest_of(token), csrf_token(token), token}
    assert len(made) == 3
    assert not any(token in each for each in made - {token})
    assert digest_of(token) == digest_of(token)
    assert csrf_token(token) != csrf_token(new_token())


@pytest.mark.parametrize("given", ["", "x", "\udc80", "ü"])
def test_what_is_not_the_same(given: str) -> None:
    expected = csrf_token(new_token())
    assert same(expected, expected)
    assert not same(given, expected)
