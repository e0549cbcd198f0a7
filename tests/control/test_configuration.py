"""Pasted configurations: every fault is said, and no secret is shown."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from gateway.config.load import parse
from gateway.control.configuration import MASKED, PastedConfig, check, compare

PLAIN: Final = (
    '[providers.p]\nkind = "openai"\nbase_url = "http://h/v1"\napi_key = "sk-of-provider"\n'
    'headers = { authorization = "Bearer of-provider" }\n'
    '[[models]]\nname = "m"\nroutes = [{ provider = "p", model = "x" }]\n'
    '[[tokens]]\nname = "t"\nkey = "key-of-token"\nrpm = 5\n'
    '[store]\nurl = "postgresql://me:secret-of-store@h/d"\n'
)


def test_a_good_file() -> None:
    found = check(PastedConfig(PLAIN))
    assert (found.valid, found.errors) == (True, [])
    # What is valid and probably not meant.
    assert any("input_price" in each for each in found.warnings)


def test_every_fault_is_said_with_file_table_and_key() -> None:
    found = check(
        PastedConfig(
            PLAIN.replace("rpm = 5", "rpm = 0") + "[servr]\n",
            '[[tokens]]\nname = "t"\nkey = "key-of-token"\n[server]\n',
        )
    )
    assert not found.valid
    assert found.errors[0] == "config.toml: [servr]: unknown key; did you mean 'server'?"
    assert any(each.startswith("config.toml: [[tokens]] 't' rpm: ") for each in found.errors)
    assert any(each.startswith("tokens.toml: [server]: only [[tokens]]") for each in found.errors)
    assert check(PastedConfig("= nonsense")).errors[0].startswith("config.toml: not valid TOML")


def test_variables_are_neither_looked_up_nor_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDER_KEY", "what-the-variable-holds")
    text = (
        PLAIN.replace('"sk-of-provider"', '"${PROVIDER_KEY}"')
        .replace('"http://h/v1"', '"${ADDRESS}"')
        .replace("rpm = 5", 'rpm = "${RPM}"')
        .replace('"m"', '"${PROVIDER_KEY}"')
    )
    found = check(PastedConfig(text))
    assert (found.valid, found.errors) == (True, [])
    differences = compare(parse(PLAIN, "c", {}), PastedConfig(text))
    shown = msgspec.json.encode([found, differences]).decode()
    assert "what-the-variable-holds" not in shown
    assert "${PROVIDER_KEY}" in shown
    # Two that would be one name are a fault of whatever the variable holds.
    twice = text + '[[tokens]]\nname = "${RPM}"\nkey = "${K}"\n' * 2
    assert not check(PastedConfig(twice)).valid


def test_files_are_not_looked_for() -> None:
    text = PLAIN.replace("headers =", 'ca_file = "/nowhere/at/all.pem"\nheaders =')
    assert check(PastedConfig(text)).errors == []


def test_differences_mask_every_secret() -> None:
    new = (
        PLAIN.replace("sk-of-provider", "sk-another")
        .replace("Bearer of-provider", "Bearer another")
        .replace("key-of-token", "another-key-of-it")
        .replace("secret-of-store", "another-secret")
        .replace("rpm = 5", "rpm = 7")
    )
    new += f'[[tokens]]\nname = "new"\nkey = "sha256:{"ab" * 32}"\n'
    found = compare(parse(PLAIN, "c", {}), PastedConfig(new))
    assert found.valid
    by_name = {each.name: each for each in found.differences}
    assert (by_name["tokens.t.rpm"].old, by_name["tokens.t.rpm"].new) == (5, 7)
    for name in (
        "tokens.t.key",
        "providers.p.api_key",
        "providers.p.headers.authorization",
        "store.url",
    ):
        assert (by_name[name].old, by_name[name].new) == (MASKED, MASKED)
    assert by_name["tokens.new"].old is None
    shown = msgspec.json.encode(found).decode()
    for secret in ("sk-another", "of-provider", "another-key", "another-secret", "abab"):
        assert secret not in shown
    assert compare(parse(PLAIN, "c", {}), PastedConfig(PLAIN)).differences == []
