from __future__ import annotations

import re

import pytest

from gateway.core.routing.causes import Cause
from gateway.errors import ConfigError
from gateway.providers import failures
from gateway.providers.quirks.refusals import with_quirks
from gateway.providers.quirks.settings import NO_QUIRKS, Quirks

from ..kinds.described import TERMS, describe
from ..tables import provider_of


def test_without_codes_it_is_the_table_of_the_kind() -> None:
    for quirks in (NO_QUIRKS, Quirks(refuses=("n",))):
        table = with_quirks(failures.OPENAI_COMPATIBLE, quirks)
        assert table is failures.OPENAI_COMPATIBLE


@pytest.mark.parametrize(
    ("name", "status", "body", "cause"),
    [
        # platform.minimax.io: codes in base_resp, with any status.
        ("minimax", 400, b'{"base_resp":{"status_code":1039}}', Cause.CONTEXT_LENGTH),
        ("minimax", 500, b'{"base_resp":{"status_code":1026}}', Cause.CONTENT_POLICY),
        ("minimax", 429, b'{"base_resp":{"status_code":1008}}', Cause.ACCOUNT_REFUSED),
        ("minimax", 500, b'{"base_resp":{"status_code":1002}}', Cause.RATE_LIMITED),
        ("minimax-messages", 400, b'{"base_resp":{"status_code":1039}}', Cause.CONTEXT_LENGTH),
        # docs.bigmodel.cn.
        ("zhipu", 429, b'{"error":{"code":"1113"}}', Cause.ACCOUNT_REFUSED),
        ("zhipu", 500, b'{"error":{"code":"1302"}}', Cause.RATE_LIMITED),
        # The codes of all providers count as well.
        ("zhipu", 400, b'{"error":{"code":"1261"}}', Cause.CONTEXT_LENGTH),
    ],
)
def test_codes_of_presets(name: str, status: int, body: bytes, cause: Cause) -> None:
    provider = provider_of(name, {"api_key": "sk-1234567890"}, {})
    table = describe(name, provider, TERMS).refusals
    by_status = table.of_status(status)
    assert by_status is not None
    assert table.of_body(by_status, status, body) is cause
    # With another provider the same number means nothing.
    other = failures.OPENAI_COMPATIBLE.of_body(by_status, status, body)
    assert other is (cause if b"1261" in body else by_status)


def test_codes_and_words_of_a_file() -> None:
    quirks = {
        "codes": {"content_policy": ["NOPE"]},
        "words": {"context_length": ["too much (of it)"], "server_error": ["busy now"]},
    }
    table = {"kind": "openai", "base_url": "https://x.example/v1", "quirks": quirks}
    refusals = describe("x", provider_of("x", table, {}), TERMS).refusals
    for status, said, cause in (
        (400, '{"error":{"code":"nope"}}', Cause.CONTENT_POLICY),
        (400, '{"error":{"message":"That is TOO MUCH (of it)."}}', Cause.CONTEXT_LENGTH),
        # What a caller wrote comes back in quotes, and decides nothing.
        (400, '{"error":{"message":"No such model \'too much (of it)\'"}}', Cause.REJECTED),
        (400, '{"error":{"message":"busy now"}}', Cause.SERVER_ERROR),
        (429, '{"error":{"message":"busy now"}}', Cause.SERVER_ERROR),
        (429, '{"error":{"message":"too much (of it)"}}', Cause.RATE_LIMITED),
    ):
        by_status = refusals.of_status(status)
        assert by_status is not None
        assert refusals.of_body(by_status, status, said.encode()) is cause, said


def test_a_meaning_that_there_is_not() -> None:
    table = {"kind": "openai", "base_url": "https://x/v1", "quirks": {"codes": {"odd": ["1"]}}}
    with pytest.raises(ConfigError, match=re.escape("[providers.x] quirks")):
        provider_of("x", table, {})
