from __future__ import annotations

import pytest

from gateway.providers.settings import Provider
from gateway.telemetry.tracing.server_address import ServerAddress, place_of


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.openai.com/v1", ServerAddress("openai", "api.openai.com", 443)),
        ("https://eu.api.openai.com/v1", ServerAddress("openai", "eu.api.openai.com", 443)),
        ("https://API.Groq.com/openai/v1", ServerAddress("groq", "api.groq.com", 443)),
        (
            "https://mine.openai.azure.com/openai/v1",
            ServerAddress("azure.ai.openai", "mine.openai.azure.com", 443),
        ),
        (
            "https://europe-west1-aiplatform.googleapis.com/v1",
            ServerAddress("gcp.vertex_ai", "europe-west1-aiplatform.googleapis.com", 443),
        ),
        (
            "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1",
            ServerAddress("aws.bedrock", "bedrock-runtime.eu-west-1.amazonaws.com", 443),
        ),
        # A customer's own server on a machine of Amazon's, and names that only look known.
        (
            "http://ec2-1-2-3-4.compute.amazonaws.com/v1",
            ServerAddress("mine", "ec2-1-2-3-4.compute.amazonaws.com", 80),
        ),
        (
            "https://fakeapi.openai.com.test/v1",
            ServerAddress("mine", "fakeapi.openai.com.test", 443),
        ),
        ("https://notapi.x.ai/v1", ServerAddress("mine", "notapi.x.ai", 443)),
        ("http://127.0.0.1:8000/v1", ServerAddress("mine", "127.0.0.1", 8000)),
        ("http://[::1]:8000/v1", ServerAddress("mine", "::1", 8000)),
    ],
)
def test_a_place_is_read_from_the_url(url: str, expected: ServerAddress) -> None:
    assert place_of("mine", Provider(kind="openai", base_url=url)) == expected


def test_the_demo_is_nowhere() -> None:
    assert place_of("demo", Provider(kind="demo")) == ServerAddress("demo")
