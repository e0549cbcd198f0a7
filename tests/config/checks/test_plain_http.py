from __future__ import annotations

from typing import Any

import pytest

from gateway.config.checks.plain_http import plain_http
from gateway.providers.settings import ClientCredentials, Provider


def found(url: str, **more: Any) -> list[str]:
    provider = Provider(kind="openai", base_url=url, **({"api_key": "sk-1"} | more))
    return list(plain_http("p", provider))


@pytest.mark.parametrize(
    "url",
    [
        *("http://llm.example.com/v1", "http://10.0.0.7:8000/v1", "http://[fe80::1]/v1"),
        *("HTTP://LLM.example.com/v1", "http://127.0.0.1.nip.io/v1", "http://localhost.evil.com"),
        *("http://0.0.0.0:80/v1", "http://169.254.169.254/"),
    ],
)
def test_a_key_that_would_be_readable_on_the_way(url: str) -> None:
    (problem,) = found(url)
    assert problem.startswith("p base_url: would send a key without TLS")
    assert "allow_http = true" in problem
    assert found(url, allow_http=True) == []
    assert found(url, api_key=None) == []
    assert found(url, api_key=None, api_keys=("a", "b")) != []
    assert found(url, api_key=None, headers={"X-Api-Key": "a"}) != []
    assert found(url, api_key=None, headers={"x-team": "a"}) == []


@pytest.mark.parametrize(
    "url",
    [
        *("https://llm.example.com/v1", "http://127.0.0.1:8000/v1", "http://localhost/v1"),
        *("http://[::1]:8000/v1", "http://vllm:8000/v1", "http://[", ""),
    ],
)
def test_ways_that_are_safe(url: str) -> None:
    assert found(url) == []


def test_where_tokens_come_from() -> None:
    oauth = ClientCredentials(
        token_url="http://login.example.com/token",
        client_id="c",
        client_secret="s",
    )
    problems = found("http://llm.example.com/v1", api_key=None, oauth=oauth)
    assert [each.split(":")[0] for each in problems] == ["p base_url", "p oauth.token_url"]
