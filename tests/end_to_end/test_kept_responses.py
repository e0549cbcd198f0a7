"""Responses that the gateway keeps itself, for models of chat completions and Messages."""

# ruff: noqa: SIM117  # a gateway inside the life of its provider

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.late import openai

from ..core.dialects.anthropic_messages.events import STOP, end, start, text
from ..http_client import sdk_client
from .caller import Reply, calling
from .harness import InProcess, in_process
from .provider import Asked, serving
from .test_translation import config, post
from .wire import DONE, Script, completion, streamed, usage_event, whole
from .wire import event as chunk

ASK: dict[str, Any] = {"model": "m", "input": "one"}


def keeping(tmp_path: Path, kind: str, port: int, *, more: str = "", tokens: str = "") -> str:
    made = config(kind, port, more=f"[responses]\nstore = true\n{more}\n")
    return made.replace('url = ""', f'url = "sqlite:///{tmp_path}/gateway.db"') + tokens


def says_again(asked: Asked) -> Script:
    """Say how many messages there were, in chunks or at once."""
    count = len(asked.json["messages"])
    if asked.json.get("stream"):
        events = [chunk({"role": "assistant", "content": f"{count} so far"}), chunk({}, "stop")]
        return streamed([*events, usage_event(20, 3), DONE])
    return [(0.0, whole(200, completion(f"{count} so far")))]


async def create(gateway: InProcess, body: dict[str, Any], key: str) -> Reply:
    async with calling(gateway.port) as caller:
        await caller.post(json.dumps(body).encode(), target="/v1/responses", key=key)
        return await caller.reply()


async def look(gateway: InProcess, path: str, *, key: str | None = None, how: str = "GET") -> Reply:
    async with calling(gateway.port) as caller:
        return await caller.get(path, key=key, method=how)


@pytest.mark.slow
@pytest.mark.parametrize("stream", [True, False])
async def test_a_conversation_by_ids_alone(tmp_path: Path, stream: bool) -> None:
    def talk(client: openai.OpenAI) -> list[Any]:
        def said(**more: Any) -> Any:
            if not stream:
                return client.responses.create(model="m", **more)
            with client.responses.stream(model="m", **more) as opened:
                return opened.get_final_response()

        with client:
            first = said(input="one", instructions="Be brief")
            second = said(input=[{"role": "user", "content": "two"}], previous_response_id=first.id)
            third = said(input="three", previous_response_id=second.id)
            # Another way to go on from the same one.
            other = said(input="four", previous_response_id=first.id, store=False)
            found = client.responses.retrieve(second.id)
            items = client.responses.input_items.list(second.id, order="asc")
            client.responses.delete(first.id)
            return [first, second, third, other, found, list(items)]

    async with serving(says_again) as provider:
        async with in_process(keeping(tmp_path, "openai", provider.port)) as gateway:
            url = f"http://127.0.0.1:{gateway.port}/v1"
            client = openai.OpenAI(
                base_url=url, http_client=sdk_client(openai), api_key="sk-any", max_retries=0
            )
            first, second, third, other, found, items = await trio.to_thread.run_sync(
                lambda: talk(client)
            )
            gone = await look(gateway, f"/v1/responses/{first.id}")
            after = ASK | {"previous_response_id": first.id}
            refused = await post(gateway, "/v1/responses", after)
            strange = await post(gateway, "/v1/responses", ASK | {"previous_response_id": "resp_1"})
            on = await post(gateway, "/v1/responses", ASK | {"previous_response_id": third.id})
            never = await post(gateway, "/v1/responses", ASK | {"previous_response_id": other.id})
        asked = [each.json["messages"] for each in provider.asked]
    assert [each.output_text[0] for each in (first, second, third, other)] == ["2", "3", "5", "3"]
    said = [message["content"] for message in asked[2]]
    # Instructions are not carried over.
    assert said == ["one", "2 so far", "two", "3 so far", "three"]
    assert len({each.id for each in (first, second, third, other)}) == 4
    assert (found.id, found.status) == (second.id, "completed")
    assert (found.output_text, found.usage) == (second.output_text, second.usage)
    assert found.previous_response_id == first.id
    assert [item.content[0].text for item in items] == ["one", "2 so far", "two"]
    assert gone.status == 404
    for reply in (refused, strange):
        assert (reply.status, reply.error["code"]) == (400, "previous_response_not_found")
    # What came after it has all of it.
    assert on.status == 200
    assert len(asked[4]) == 7
    assert never.status == 400


async def test_a_conversation_with_a_model_of_messages(tmp_path: Path) -> None:
    events = [start("real"), text("Hello"), end(), STOP]
    async with serving(streamed(events)) as provider:
        async with in_process(keeping(tmp_path, "anthropic", provider.port)) as gateway:
            first = await post(gateway, "/v1/responses", ASK | {"stream": True})
            last = json.loads(first.events[-1].partition(b"data: ")[2])["response"]
            [item] = last["output"]
            # As the Vercel AI SDK goes on from what is stored: by the ids of items.
            items = [
                {"role": "user", "content": "one"},
                {"type": "item_reference", "id": item["id"]},
                {"role": "user", "content": "two"},
            ]
            await post(gateway, "/v1/responses", ASK | {"stream": True, "input": items})
        sent = provider.asked[1].json["messages"]
    assert last["store"] is True
    assert sent == [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "two"},
    ]


async def test_a_response_is_its_key_s_alone(tmp_path: Path) -> None:
    tokens = "\n".join(f'[[tokens]]\nname = "{n}"\nkey = "sk-of-{n}"\n' for n in ("mine", "other"))
    async with serving(says_again) as provider:
        made = keeping(tmp_path, "openai", provider.port, tokens=tokens)
        async with in_process(made) as gateway:
            first = await create(gateway, ASK, "sk-of-mine")
            path = f"/v1/responses/{first.json['id']}"
            after = ASK | {"previous_response_id": first.json["id"]}
            others = [
                await look(gateway, path, key="sk-of-other"),
                await look(gateway, path, key="sk-of-other", how="DELETE"),
                await create(gateway, after, "sk-of-other"),
                await look(gateway, path),
            ]
            mine = await look(gateway, path, key="sk-of-mine")
            cancel = await look(gateway, f"{path}/cancel", key="sk-of-mine", how="POST")
    assert [each.status for each in others] == [404, 404, 400, 401]
    assert mine.json == first.json
    assert cancel.status == 400


async def test_what_is_kept_has_bounds(tmp_path: Path) -> None:
    more = "max_bytes = 4096\nmax_bytes_per_key = 9000\n"
    async with serving(says_again) as provider:
        async with in_process(keeping(tmp_path, "openai", provider.port, more=more)) as gateway:
            large = await post(gateway, "/v1/responses", ASK | {"input": "x" * 5000})
            ids = []
            for _ in range(6):
                reply = await post(gateway, "/v1/responses", ASK | {"input": "y" * 500})
                ids.append(reply.json["id"])
            found = [await look(gateway, f"/v1/responses/{id}") for id in ids]
    assert large.status == 200
    assert large.json["store"] is False
    statuses = [each.status for each in found]
    assert statuses == sorted(statuses, reverse=True)
    assert statuses[0] == 404
    assert statuses[-1] == 200


async def test_a_response_survives_the_process_and_the_setting_may_be_off(tmp_path: Path) -> None:
    async with serving(says_again) as provider:
        made = keeping(tmp_path, "openai", provider.port)
        async with in_process(made) as gateway:
            first = await post(gateway, "/v1/responses", ASK)
        after = ASK | {"previous_response_id": first.json["id"]}
        async with in_process(made) as gateway:
            again = await post(gateway, "/v1/responses", after)
        async with in_process(made.replace("store = true", "store = false")) as gateway:
            off = await post(gateway, "/v1/responses", after)
            gone = await look(gateway, f"/v1/responses/{first.json['id']}")
            stored = await post(gateway, "/v1/responses", ASK | {"store": True})
    assert again.json["output"][0]["content"][0]["text"] == "3 so far"
    assert (off.status, off.error["param"]) == (400, "previous_response_id")
    assert "[responses] store = true" in off.error["message"]
    assert gone.status == 404
    assert "[responses] store" in gone.error["message"]
    assert stored.json["store"] is False
    assert stored.headers["x-gateway-dropped"] == "store"
