from __future__ import annotations

import msgspec
import pytest

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.gemini.dialect import GEMINI
from gateway.errors import ConfigError
from gateway.providers.tokens.sources import GoogleAccount

from ..tables import provider_of
from .described import TERMS, describe

GIVEN = {"kind": "vertex", "project": "my-project", "location": "us-east5"}
BASE = b"/v1/projects/my-project/locations/us-east5/publishers"


def test_claude_is_asked_in_messages() -> None:
    terms = msgspec.structs.replace(TERMS, model="claude-sonnet-4-5@20250929")
    found = describe("v", provider_of("v", GIVEN, {}), terms)
    model = BASE + b"/anthropic/models/claude-sonnet-4-5@20250929"
    assert found.dialect is ANTHROPIC_MESSAGES
    assert found.origin.host == "us-east5-aiplatform.googleapis.com"
    assert (found.target, found.stream_target) == (
        model + b":rawPredict",
        model + b":streamRawPredict",
    )
    assert found.fit is not None
    sent = found.fit.fitted(b'{"model":"claude-x","max_tokens":5,"stream":true}')
    assert msgspec.json.decode(sent) == {
        "max_tokens": 5,
        "stream": True,
        "anthropic_version": "vertex-2023-10-16",
    }
    assert dict(
        found.forwarded({b"anthropic-beta": b"b", b"anthropic-version": b"2023-06-01"})
    ) == {b"anthropic-beta": b"b"}
    assert found.reasoning == "budget"


def test_gemini_is_asked_in_its_own_api() -> None:
    terms = msgspec.structs.replace(TERMS, model="gemini-2.5-pro")
    found = describe("v", provider_of("v", {**GIVEN, "location": "global"}, {}), terms)
    assert found.dialect is GEMINI
    assert found.origin.host == "aiplatform.googleapis.com"
    assert found.target == (
        BASE.replace(b"us-east5", b"global") + b"/google/models/gemini-2.5-pro:generateContent"
    )


def test_where_tokens_come_from() -> None:
    assert provider_of("v", GIVEN, {}).token_source == GoogleAccount()
    file = {**GIVEN, "credentials_file": "a.json"}
    assert provider_of("v", file, {}).token_source == GoogleAccount(file="a.json")
    keyed = provider_of("v", {**GIVEN, "api_key": "ya29.token"}, {})
    assert keyed.token_source is None
    for model in ("claude-x", "gemini-x"):
        found = describe("v", keyed, msgspec.structs.replace(TERMS, model=model))
        headers = dict(found.credentials[0].plain_headers)
        assert headers[b"authorization"] == b"Bearer ya29.token"
    with pytest.raises(ConfigError, match="project: missing"):
        provider_of("v", {"kind": "vertex"}, {})
    with pytest.raises(ConfigError, match="project: is no name"):
        provider_of("v", {**GIVEN, "project": "a/b"}, {})
    with pytest.raises(ConfigError, match="credentials_file: not together"):
        provider_of("v", {**file, "api_key": "ya29.token"}, {})
