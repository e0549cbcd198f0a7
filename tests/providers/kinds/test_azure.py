from __future__ import annotations

import pytest

from gateway.core.dialects.openai_numbers.dialect import OPENAI_EMBEDDINGS, OPENAI_MODERATIONS
from gateway.core.dialects.openai_responses.dialect import OPENAI_KEPT_RESPONSES, OPENAI_RESPONSES
from gateway.errors import ConfigError

from ..tables import provider_of
from .described import TERMS, describe, place_of

URL = "https://r.openai.azure.com"


@pytest.mark.parametrize("url", [URL, f"{URL}/", f"{URL}/openai", f"{URL}/openai/v1/"])
def test_the_v1_api(url: str) -> None:
    given = {"kind": "azure", "base_url": url, "api_key": "key-12345678", "api": "both"}
    found = describe("a", provider_of("a", given, {}), TERMS)
    assert (found.origin.host, found.target) == (
        "r.openai.azure.com",
        b"/openai/v1/responses",
    )
    assert found.targets["openai_chat"] == b"/openai/v1/chat/completions"
    assert found.targets[OPENAI_EMBEDDINGS.name] == b"/openai/v1/embeddings"
    assert OPENAI_MODERATIONS.name not in found.targets
    assert found.base_path == b"/openai/v1"
    headers = dict(found.credentials[0].plain_headers)
    assert headers[b"api-key"] == b"key-12345678"
    assert b"authorization" not in headers


def test_by_deployment() -> None:
    given = {
        "kind": "azure",
        "base_url": f"{URL}/openai",
        "api_key": "key-12345678",
        "api_version": "2024-10-21",
        "api": "both",
    }
    found = describe("a", provider_of("a", given, {}), TERMS)
    version = b"?api-version=2024-10-21"
    deployment = b"/openai/deployments/m"
    assert found.target == b"/openai/responses" + version
    assert found.targets["openai_chat"] == deployment + b"/chat/completions" + version
    assert found.targets[OPENAI_EMBEDDINGS.name] == deployment + b"/embeddings" + version
    assert found.targets[OPENAI_RESPONSES.name] == b"/openai/responses" + version
    assert OPENAI_KEPT_RESPONSES.name not in found.targets


def test_a_managed_identity_stands_for_a_key() -> None:
    given = {"kind": "azure", "base_url": URL, "managed_identity": {"client_id": "c"}}
    provider = provider_of("a", given, {})
    assert provider.token_source is not None
    assert b"api-key" not in dict(describe("a", provider, TERMS).credentials[0].plain_headers)
    assert place_of(provider).base_url == URL
    with pytest.raises(ConfigError, match="managed_identity: not together with a key"):
        provider_of("a", {**given, "api_key": "key-12345678"}, {})
    with pytest.raises(ConfigError, match="base_url: missing"):
        provider_of("a", {"kind": "azure"}, {})
    with pytest.raises(ConfigError, match="api_version: expected a date"):
        provider_of("a", {**given, "api_version": "v1"}, {})


def test_the_preset() -> None:
    environ = {"AZURE_OPENAI_API_KEY": "key-12345678", "AZURE_OPENAI_ENDPOINT": URL}
    assert provider_of("azure", {}, environ).base_url == URL
