from __future__ import annotations

import msgspec
import pytest
import trio

from gateway.config.schema import Route
from gateway.core.routing.call import Origin
from gateway.core.routing.timeouts import Timeouts
from gateway.providers.kind import Place
from gateway.providers.kinds import openai
from gateway.providers.kinds.demo import KIND, DemoProvider
from gateway.providers.openai_compatible import OpenAIProvider
from gateway.providers.settings import Probe

PLACE = Place("http://127.0.0.1:4321/v1", b"gateway/1")
TERMS = Route(provider="d", model="m").terms("m", Timeouts(), None)


def test_it_is_called_like_any_other_provider() -> None:
    found = KIND.describe("d", DemoProvider(kind="demo"), PLACE, TERMS)
    assert found.origin == Origin("http", "127.0.0.1", 4321)
    assert found.target == found.stream_target == b"/v1/chat/completions"
    url = "http://127.0.0.1:4321/v1"
    same = OpenAIProvider(kind="openai", base_url=url, api="responses")
    like = openai.KIND.describe("d", same, PLACE, TERMS)
    # It takes both APIs as they come, and thinks if it is asked to.
    asked = DemoProvider(kind="demo", speaks="responses")
    expected = msgspec.structs.replace(like, reasoning="effort")
    assert KIND.describe("d", asked, PLACE, TERMS) == expected
    assert found.targets == like.targets


def test_it_can_be_asked_in_its_other_api() -> None:
    table = DemoProvider(kind="demo", speaks="messages")
    place = msgspec.structs.replace(PLACE, base_url="http://127.0.0.1:4321")
    found = KIND.describe("d", table, place, TERMS)
    assert (found.target, found.reasoning) == (b"/v1/messages", "adaptive")
    found = KIND.describe("d", DemoProvider(kind="demo", speaks="gemini"), place, TERMS)
    assert (found.target, found.reasoning) == (b"/v1beta/models/m:generateContent", "effort")


def test_it_is_checked_where_it_is_called() -> None:
    call = KIND.probe_call("d", DemoProvider(kind="demo", probe=Probe()), PLACE)
    assert (call.origin, call.target) == (Origin("http", "127.0.0.1", 4321), b"/v1/models")


def test_only_the_gateway_says_where_it_is() -> None:
    provider = DemoProvider(kind="demo")
    assert KIND.address(provider) is None
    assert list(KIND.problems(provider)) == []
    placed = msgspec.structs.replace(provider, base_url="http://h/v1")
    assert [key for key, _ in KIND.problems(placed)] == ["base_url"]


@pytest.mark.parametrize("key", [{"api_key": "k"}, {"api_keys": ("k",)}])
def test_it_has_no_use_for_a_key(key: dict[str, str]) -> None:
    assert [each for each, _ in KIND.notes(DemoProvider(kind="demo", **key))] == ["api_key"]  # type: ignore[arg-type]


async def test_its_server_says_where_it_listens() -> None:
    serve = KIND.serve(DemoProvider(kind="demo", token_interval=0.0))
    assert serve is not None
    async with trio.open_nursery() as nursery:

        async def start(task_status: trio.TaskStatus[str]) -> None:
            await serve(task_status.started)

        address = await nursery.start(start)
        host, _, port = address.removeprefix("http://").removesuffix("/v1").partition(":")
        stream = await trio.open_tcp_stream(host, int(port))
        await stream.aclose()
        nursery.cancel_scope.cancel()
