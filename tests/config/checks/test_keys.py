from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from gateway.config.catalog import Names
from gateway.config.checks.keys import KeyCheck
from gateway.config.keys.tables import Token
from gateway.config.schema import Admin, Model

NAMES = Names((Model(name="m"), Model(name="f/*"), Model(name="a", alias="m")))


def of_tokens(*tokens: Token) -> list[str]:
    return list(KeyCheck(NAMES).tokens(tokens))


def token(name: str, key: str, *models: str) -> Token:
    return Token(name=name, key=key, models=models or ("*",))


HASHED = "sha256:" + hashlib.sha256(b"12345678").hexdigest()


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ((token("a", "12345678"), token("b", "87654321", "m")), []),
        ((token("a", HASHED),), []),
        (
            (token("a", "12345678"), token("a", "87654321")),
            ["[[tokens]] 'a' name: appears twice; give each token its own name"],
        ),
        *(
            (
                (token("a", key),),
                ["[[tokens]] 'a' key: must have at least 8 characters and no spaces"],
            )
            for key in ("", "1234567", "1234 5678", "12345678\n", "1234567\u2028")
        ),
        *(
            (
                (token("a", key),),
                ["[[tokens]] 'a' key: sha256: must be followed by 64 hexadecimal digits"],
            )
            for key in ("sha256:", HASHED[:-1], HASHED + "0", HASHED[:-1] + "g", HASHED + "\n")
        ),
        *(
            (
                (token("a", "12345678"), token("b", other)),
                ["[[tokens]] 'b' key: belongs to another token too; each needs its own"],
            )
            # However the same key is written.
            for other in ("12345678", HASHED, "sha256:" + HASHED.removeprefix("sha256:").upper())
        ),
        (
            (token("a", "12345678", "m", "x"),),
            ["[[tokens]] 'a' models: there is no model 'x'; use \"*\" for all"],
        ),
    ],
)
def test_tokens(tokens: tuple[Token, ...], expected: list[str]) -> None:
    assert of_tokens(*tokens) == expected


@pytest.mark.parametrize("name", ["m", "a", "f/*", "f/x", "f/x*", "*"])
def test_models_of_a_token(name: str) -> None:
    assert of_tokens(token("t", "12345678", name)) == []


@pytest.mark.parametrize("name", ["", "M", "m*", "f", "f/", "g/*"])
def test_models_that_there_are_not(name: str) -> None:
    # Each token that names it is told.
    found = of_tokens(token("t", "12345678", name), token("u", "87654321", "m", name))
    says = f'models: there is no model {name!r}; use "*" for all'
    assert found == [f"[[tokens]] 't' {says}", f"[[tokens]] 'u' {says}"]


def test_a_token_may_have_expired() -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC)
    assert of_tokens(Token(name="t", key="12345678", expires_at=past)) == []


def test_tokens_of_another_file_are_compared_with_the_first() -> None:
    check = KeyCheck(NAMES)
    assert list(check.tokens((token("t", "12345678"),))) == []
    assert list(check.tokens((token("t", HASHED),))) == [
        "[[tokens]] 't' name: appears twice; give each token its own name",
        "[[tokens]] 't' key: belongs to another token too; each needs its own",
    ]


def admin(name: str, key: str) -> Admin:
    return Admin(name=name, key=key)


@pytest.mark.parametrize(
    ("admins", "expected"),
    [
        # A token may have the name of an admin: they are never mixed up.
        ((admin("t", "abcdefgh"), admin("b", "sha256:" + "0" * 64)), []),
        (
            (admin("a", "abcdefgh"), admin("a", "ijklmnop")),
            ["[[admins]] 'a' name: appears twice; give each admin their own name"],
        ),
        (
            (admin("a", "short"),),
            ["[[admins]] 'a' key: must have at least 8 characters and no spaces"],
        ),
        (
            (admin("a", "sha256:0"),),
            ["[[admins]] 'a' key: sha256: must be followed by 64 hexadecimal digits"],
        ),
        (
            (admin("a", "abcdefgh"), admin("b", "abcdefgh")),
            ["[[admins]] 'b' key: belongs to another admin too; each needs its own"],
        ),
        (
            (admin("a", HASHED),),
            ["[[admins]] 'a' key: belongs to a token too; each needs its own"],
        ),
        (
            (Admin(name="a", key="abcdefgh", scopes=()),),
            ["[[admins]] 'a' scopes: is empty, so the key could do nothing; name one or more"],
        ),
    ],
)
def test_admins(admins: tuple[Admin, ...], expected: list[str]) -> None:
    check = KeyCheck(NAMES)
    assert list(check.tokens((token("t", "12345678"),))) == []
    assert list(check.admins(admins)) == expected
