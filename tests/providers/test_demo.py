from __future__ import annotations

from gateway.config.schema import Provider, Route
from gateway.core.call import Origin
from gateway.core.timeouts import Timeouts
from gateway.providers import demo, openai


def test_it_is_called_like_any_other_provider() -> None:
    provider, route, timeouts = Provider(kind="demo"), Route(provider="d", model="m"), Timeouts()
    found = demo.describe("d", provider, route, timeouts, b"gateway/1", port=4321)
    assert found.origin == Origin("http", "127.0.0.1", 4321)
    assert found.target == b"/v1/chat/completions"
    same = Provider(kind="openai", base_url="http://127.0.0.1:4321/v1")
    assert found == openai.describe("d", same, route, timeouts, b"gateway/1")
