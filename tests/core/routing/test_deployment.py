from __future__ import annotations

import msgspec
import pytest

from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.records.pricing import Prices
from gateway.core.routing.call import Call, Origin
from gateway.core.routing.deployment import Credential, Deployment
from gateway.core.routing.timeouts import Timeouts
from gateway.providers.failures import OPENAI_COMPATIBLE

ORIGIN = Origin("https", "api.example.com", 443)


def credential(id: str) -> Credential:
    return Credential(
        stream_headers=((b"accept", b"text/event-stream"), (b"authorization", id.encode())),
        plain_headers=((b"accept", b"application/json"), (b"authorization", id.encode())),
        id=id,
        label=f"key {id}",
    )


ONE, TWO = credential("1"), credential("2")
DEPLOYMENT = Deployment(
    provider="openai",
    model="gpt-4o",
    model_json=b'"gpt-4o"',
    origin=ORIGIN,
    dialect=OPENAI_CHAT,
    target=b"/v1/chat/completions",
    stream_target=b"/v1/chat/completions",
    refusals=OPENAI_COMPATIBLE,
    credentials=(ONE, TWO),
    timeouts=Timeouts(connect=1.5),
    prices=Prices(),
)


def test_names() -> None:
    assert DEPLOYMENT.name == DEPLOYMENT.state_key == "openai/gpt-4o"


def test_what_callers_made_up_is_known_under_its_pattern() -> None:
    one = msgspec.structs.replace(DEPLOYMENT, model="gpt-x", pattern="gpt-*")
    other = msgspec.structs.replace(DEPLOYMENT, model="gpt-y", pattern="gpt-*")
    assert (one.name, other.name) == ("openai/gpt-x", "openai/gpt-y")
    assert one.state_key == other.state_key == "openai/gpt-*"


@pytest.mark.parametrize(
    ("stream", "key", "headers"),
    [
        (True, None, ONE.stream_headers),
        (False, None, ONE.plain_headers),
        (True, TWO, TWO.stream_headers),
        (False, TWO, TWO.plain_headers),
    ],
)
def test_call(stream: bool, key: Credential | None, headers: tuple[tuple[bytes, bytes]]) -> None:
    assert DEPLOYMENT.call(b"{}", b"req_1", stream=stream, credential=key) == Call(
        origin=ORIGIN,
        method=b"POST",
        target=b"/v1/chat/completions",
        headers=(*headers, (b"x-client-request-id", b"req_1")),
        body=b"{}",
        connect_timeout=1.5,
    )


@pytest.mark.parametrize(("id", "found"), [("1", ONE), ("2", TWO), ("gone", ONE), ("", ONE)])
def test_credential_by_id_or_the_first(id: str, found: Credential) -> None:
    assert DEPLOYMENT.credential(id) is found
