from __future__ import annotations

from gateway.core.call import Call, Origin
from gateway.core.pricing import Prices
from gateway.core.routing.deployment import Deployment
from gateway.core.timeouts import Timeouts

ORIGIN = Origin("https", "api.example.com", 443)
DEPLOYMENT = Deployment(
    provider="openai",
    model="gpt-4o",
    model_json=b'"gpt-4o"',
    origin=ORIGIN,
    target=b"/v1/chat/completions",
    stream_headers=((b"accept", b"text/event-stream"),),
    plain_headers=((b"accept", b"application/json"),),
    timeouts=Timeouts(connect=1.5),
    prices=Prices(),
)


def test_name() -> None:
    assert DEPLOYMENT.name == "openai/gpt-4o"


def test_call() -> None:
    assert DEPLOYMENT.call(b"{}", b"req_1", stream=True) == Call(
        origin=ORIGIN,
        method=b"POST",
        target=b"/v1/chat/completions",
        headers=((b"accept", b"text/event-stream"), (b"x-client-request-id", b"req_1")),
        body=b"{}",
        connect_timeout=1.5,
    )
    plain = DEPLOYMENT.call(b"{}", b"req_1", stream=False)
    assert plain.headers[0] == (b"accept", b"application/json")
