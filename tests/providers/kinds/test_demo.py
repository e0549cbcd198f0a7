from __future__ import annotations

import msgspec

from gateway.config.schema import Probe, Provider, Route
from gateway.core.routing.call import Origin
from gateway.core.routing.timeouts import Timeouts
from gateway.providers import demo, openai


def test_it_is_called_like_any_other_provider() -> None:
    provider, route, timeouts = Provider(kind="demo"), Route(provider="d", model="m"), Timeouts()
    located = demo.located(provider, port=4321)
    found = openai.describe("d", located, route, timeouts, b"gateway/1")
    assert found.origin == Origin("http", "127.0.0.1", 4321)
    assert found.target == b"/v1/chat/completions"
    same = Provider(kind="openai", base_url="http://127.0.0.1:4321/v1")
    assert found == openai.describe("d", same, route, timeouts, b"gateway/1")


def test_it_is_checked_where_it_is_called() -> None:
    provider = demo.located(Provider(kind="demo", probe=Probe()), port=4321)
    call = openai.probe_call("d", provider, b"gateway/1")
    assert (call.origin, call.target) == (Origin("http", "127.0.0.1", 4321), b"/v1/models")
    assert msgspec.structs.replace(provider, base_url=None) == Provider(kind="demo", probe=Probe())
