"""Signs of a half-written file."""

from __future__ import annotations

import pytest

from gateway.config.load import parse
from gateway.config.schema import Config
from gateway.config.vanished import opened, vanished

PROVIDER = '[providers.p]\nkind = "demo"\n'


def config(*, models: int = 1, tokens: int = 0, admins: int = 0, server: str = "") -> Config:
    route = 'routes = [{provider="p", model="x"}]\n'
    text = f"[server]\n{server}\n{PROVIDER}"
    text += "".join(f'[[models]]\nname = "m{n}"\n{route}' for n in range(models))
    text += "".join(f'[[tokens]]\nname = "t{n}"\nkey = "sk-token-{n}"\n' for n in range(tokens))
    text += "".join(f'[[admins]]\nname = "a{n}"\nkey = "sk-admin-{n}"\n' for n in range(admins))
    return parse(text, "config.toml", {})


def made(kind: str, count: int) -> Config:
    made = {"models": 1, "tokens": 0, "admins": 0, kind: count}
    return config(models=made["models"], tokens=made["tokens"], admins=made["admins"])


@pytest.mark.parametrize(
    ("had_tokens", "new", "fine"),
    [
        (True, config(), False),
        (True, config(server="open = false"), False),
        (True, config(server="open = true"), True),
        (True, config(tokens=1), True),
        (False, config(), True),
    ],
)
def test_only_a_file_that_says_so_opens_a_gateway(
    had_tokens: bool, new: Config, fine: bool
) -> None:
    assert (opened(had_tokens, new) is None) is fine


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (4, 4, False),
        (4, 5, False),
        (4, 3, False),
        (4, 2, True),
        (5, 3, False),
        (5, 2, True),
        (3, 1, True),
        # One of two is revoked: nothing to be said.
        (2, 1, False),
        (100, 51, False),
        (100, 50, True),
    ],
)
@pytest.mark.parametrize("kind", ["models", "tokens", "admins"])
def test_half_of_them_gone_is_said(kind: str, before: int, after: int, says: bool) -> None:
    found = vanished(made(kind, before), made(kind, after))
    gone = before - after
    assert found == (
        (f"[[{kind}]]: {gone} of {before} are gone; is the file complete?",) if says else ()
    )


BOUNDS = (
    'models = ["m0"]',
    "rpm = 5",
    "tpm = 500",
    "max_concurrent = 2",
    'budget = { usd = 1, window = "day" }',
    "expires_at = 2027-01-01T00:00:00Z",
)


def bounded(*bounds: str, count: int = 1) -> Config:
    text = f'{PROVIDER}[[models]]\nname = "m0"\nroutes = [{{provider="p", model="x"}}]\n'
    for number in range(count):
        table = f'[[tokens]]\nname = "t{number}"\nkey = "sk-token-{number}"\n'
        text += table + "".join(f"{bound}\n" for bound in bounds)
    return parse(text, "config.toml", {})


@pytest.mark.parametrize("kept", range(len(BOUNDS)))
def test_a_token_that_is_bounded_no_more_is_named(kept: int) -> None:
    """The file is cut inside of its last table, after any of the lines."""
    (said,) = vanished(bounded(*BOUNDS), bounded(*BOUNDS[:kept]))
    lost = ", ".join(bound.partition(" ")[0] for bound in BOUNDS[kept:])
    assert said == f"[[tokens]]: {lost} of t0: no bounds any more; is the file complete?"


def test_other_bounds_are_ordinary_changes() -> None:
    assert vanished(bounded(*BOUNDS), bounded(*BOUNDS)) == ()
    assert vanished(bounded("rpm = 5"), bounded("rpm = 9")) == ()
    assert vanished(bounded(), bounded(*BOUNDS)) == ()


def test_few_of_many_tokens_are_named() -> None:
    (said,) = vanished(bounded("rpm = 5", count=9), bounded(count=9))
    assert said.count(" of t") == 5
    assert "rpm of t4 and 4 more: no bounds" in said
