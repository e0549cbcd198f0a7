from __future__ import annotations

from typing import Literal

import pytest

from gateway.config.schema import Route
from gateway.core.records.pricing import Prices
from gateway.core.routing.call import Origin
from gateway.core.routing.deployment import Deployment
from gateway.core.routing.timeouts import TimeoutOverrides, Timeouts
from gateway.providers.kinds.openai import KIND
from gateway.providers.openai_compatible import OpenAIProvider
from gateway.providers.settings import Probe, Provider

from .kinds.described import describe, place_of

ROUTE = Route(provider="p", model="m")


def described(route: Route = ROUTE, **fields: object) -> Deployment:
    values: dict[str, object] = {"kind": "openai", "base_url": "https://h/v1"} | fields
    provider = OpenAIProvider(**values)  # type: ignore[arg-type]
    timeouts = Timeouts().override(provider.timeouts)
    terms = route.terms(route.model, timeouts, None)
    return KIND.describe("p", provider, place_of(provider, b"gateway/1"), terms)


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        (
            "https://api.openai.com/v1",
            Origin("https", "api.openai.com", 443),
            b"/v1/chat/completions",
        ),
        ("https://H/v1/", Origin("https", "h", 443), b"/v1/chat/completions"),
        ("http://127.0.0.1:8000", Origin("http", "127.0.0.1", 8000), b"/chat/completions"),
        ("http://[::1]:80/a/b", Origin("http", "::1", 80), b"/a/b/chat/completions"),
        ("http://h/%7Ex", Origin("http", "h", 80), b"/%7Ex/chat/completions"),
    ],
)
def test_where_calls_go(url: str, origin: Origin, target: bytes) -> None:
    found = described(base_url=url)
    assert (found.origin, found.target) == (origin, target)


def test_headers() -> None:
    found = described(api_key="sk-1", headers={"OpenAI-Organization": "org"})
    common = {
        b"content-type": b"application/json",
        b"accept-encoding": b"identity",
        b"user-agent": b"gateway/1",
        b"authorization": b"Bearer sk-1",
        b"openai-organization": b"org",
    }
    assert dict(found.credentials[0].plain_headers) == common | {b"accept": b"application/json"}
    assert dict(found.credentials[0].stream_headers) == common | {b"accept": b"text/event-stream"}
    assert len(found.credentials[0].plain_headers) == len(found.credentials[0].stream_headers) == 6


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_there_is_no_authorization(key: str | None) -> None:
    assert b"authorization" not in dict(described(api_key=key).credentials[0].plain_headers)


def test_the_operators_headers_win() -> None:
    headers = {"Authorization": "", "api-key": "k", "User-Agent": "é", "accept-encoding": ""}
    found = dict(described(api_key="sk-1", headers=headers).credentials[0].stream_headers)
    assert b"authorization" not in found
    assert b"accept-encoding" not in found
    assert found[b"api-key"] == b"k"
    assert found[b"user-agent"] == "é".encode("latin-1")


def test_everything_else_of_provider_and_route() -> None:
    route = Route(
        provider="p",
        model='o/"m"é',
        input_price=1,
        cached_input_price=0.5,
        output_price=2,
        weight=3,
        timeouts=TimeoutOverrides(idle=7),
    )
    found = described(
        route,
        timeouts=TimeoutOverrides(idle=5, connect=1),
        stream_usage=False,
        max_connections=9,
        ca_file="ca.pem",
    )
    assert (found.provider, found.model) == ("p", 'o/"m"é')
    assert found.model_json == '"o/\\"m\\"é"'.encode()
    assert found.timeouts == Timeouts(idle=7, connect=1)
    assert found.prices == Prices(1, 2, 0.5, source="route")
    assert (found.weight, found.stream_usage) == (3, False)
    assert (found.origin.max_connections, found.origin.ca_file) == (9, "ca.pem")


@pytest.mark.parametrize(
    ("url", "probe", "target"),
    [
        ("https://h/v1", Probe(), b"/v1/models"),
        ("https://h/v1/", Probe(path="/health?x=1"), b"/v1/health?x=1"),
        ("https://h", Probe(path="/"), b"/"),
    ],
)
def test_a_health_check(url: str, probe: Probe, target: bytes) -> None:
    provider = Provider(
        kind="openai",
        base_url=url,
        api_keys=("sk-1", "sk-2"),
        headers={"OpenAI-Organization": "org"},
        max_connections=9,
        probe=probe,
    )
    call = KIND.probe_call("p", provider, place_of(provider, b"gateway/1"))
    terms = ROUTE.terms("m", Timeouts(), None)
    # The same pool of connections as everybody's.
    assert call.origin == describe("p", provider, terms).origin
    assert (call.method, call.target, call.body) == (b"GET", target, b"")
    assert call.connect_timeout == 5.0
    assert dict(call.headers) == {
        b"accept": b"application/json",
        b"accept-encoding": b"identity",
        b"user-agent": b"gateway/1",
        b"authorization": b"Bearer sk-1",
        b"openai-organization": b"org",
    }


@pytest.mark.parametrize("key", [None, ""])
def test_a_health_check_without_a_key(key: str | None) -> None:
    provider = Provider(kind="openai", base_url="http://h/v1", api_key=key, probe=Probe())
    assert b"authorization" not in dict(KIND.probe_call("p", provider, place_of(provider)).headers)


OTHERS = {
    *("openai_completions", "openai_embeddings", "openai_moderations", "rerank"),
    *("openai_images", "openai_image_edits", "openai_image_variations"),
    *("openai_speech", "openai_transcriptions", "openai_translations"),
    *("openai_realtime", "openai_realtime_translations"),
}
RESPONSES = {"openai_responses", "openai_kept_responses", "openai_input_tokens"}


@pytest.mark.parametrize(
    ("provider", "route", "expected", "spoken"),
    [
        ({}, None, OTHERS, "/chat/completions"),
        ({"api": "chat"}, None, OTHERS, "/chat/completions"),
        ({"api": "responses"}, None, OTHERS | RESPONSES, "/responses"),
        ({"api": "chat"}, "responses", OTHERS | RESPONSES, "/responses"),
        ({"api": "responses"}, "chat", OTHERS, "/chat/completions"),
        ({"api": "both"}, None, OTHERS | RESPONSES | {"openai_chat"}, "/responses"),
    ],
)
def test_what_is_spoken_and_what_is_taken_beside_it(
    provider: dict[str, object],
    route: Literal["chat", "responses", "both"] | None,
    expected: set[str],
    spoken: str,
) -> None:
    found = described(Route(provider="p", model="m", api=route), **provider)
    assert found.targets.keys() == expected
    assert found.targets["openai_embeddings"] == b"/v1/embeddings"
    assert found.target == found.stream_target == b"/v1" + spoken.encode()
    if "openai_chat" in expected:
        assert found.targets["openai_chat"] == b"/v1/chat/completions"
    if "openai_responses" in expected:
        assert found.targets["openai_responses"] == b"/v1/responses"


def test_reranks_of_cohere_are_asked_for_beside_its_api_like_openais() -> None:
    for base, target in (
        ("https://api.cohere.ai/compatibility/v1", b"/v2/rerank"),
        ("https://api.cohere.com/v2", b"/v2/rerank"),
        ("https://api.jina.ai/v1", b"/v1/rerank"),
    ):
        found = described(Route(provider="p", model="m"), base_url=base)
        assert found.targets["rerank"] == target
