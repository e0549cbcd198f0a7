"""Files, batches and vector stores by the official SDK: whose they are, and where they are kept."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
import trio

from gateway.core.records.record import EndReason
from tests.late import openai

from ..http_client import sdk_client
from .caller import calling
from .harness import InProcess, config, in_process
from .streaming_provider import Visit, providing
from .wire import completion

pytestmark = pytest.mark.slow

T = TypeVar("T")
TOKENS: Final = """
[[tokens]]
name = "alice"
key = "sk-alice-key"
[[tokens]]
name = "bob"
key = "sk-bob-key"
models = ["m"]
"""
ALICE, BOB = "sk-alice-key", "sk-bob-key"
LINES: Final = b'{"custom_id": "1"}\n' * 1000


class Account:
    """An account at a provider, with the objects of everybody who uses it."""

    def __init__(self, mark: str = "a") -> None:
        self.mark = mark
        self.objects: dict[str, dict[str, Any]] = {}
        self.content: dict[str, bytes] = {}
        self.asked: list[tuple[str, str, str]] = []
        for number in range(250):
            self.add("file", id=f"file-others{number:03}")

    def add(self, kind: str, **more: Any) -> dict[str, Any]:
        number = len(self.objects)
        made: dict[str, Any] = {
            "id": f"{kind}-{self.mark}{number:08}",
            "object": kind,
            "created_at": number,
        }
        made |= more
        self.objects[made["id"]] = made
        return made

    async def __call__(self, visit: Visit) -> None:
        body = await visit.read()
        self.asked.append((visit.method, visit.target, visit.headers["authorization"]))
        path, _, query = visit.target.removeprefix("/v1").partition("?")
        status, found = self.answer(visit.method, path, query, body)
        if isinstance(found, bytes):
            await visit.reply(200, found, content_type="application/octet-stream")
        else:
            await visit.reply(status, json.dumps(found).encode())

    def answer(self, method: str, path: str, query: str, body: bytes) -> tuple[int, Any]:
        parts = path.strip("/").split("/")
        if method == "POST" and path == "/files":
            made = self.add("file", bytes=len(body), filename="x", purpose="batch", status="ok")
            self.content[made["id"]] = LINES
            return 200, made
        if method == "POST" and path == "/batches":
            output = self.add("file")
            self.content[output["id"]] = b"output"
            asked = json.loads(body)
            return 200, self.add(
                "batch",
                status="completed",
                endpoint=asked["endpoint"],
                completion_window="24h",
                input_file_id=asked["input_file_id"],
                output_file_id=output["id"],
            )
        if method == "POST" and path == "/vector_stores":
            return 200, self.add("vs", **json.loads(body))
        if method == "GET" and len(parts) == 1:
            return 200, self.page(query)
        if parts[1] not in self.objects:
            return 404, {"error": {"message": "no such object"}}
        if parts[-1] == "content":
            return 200, self.content[parts[1]]
        if method == "DELETE":
            del self.objects[parts[1]]
            return 200, {"id": parts[1], "object": "file", "deleted": True}
        return 200, self.objects[parts[1]]

    def page(self, query: str) -> dict[str, Any]:
        limit = int((re.findall(r"limit=(\d+)", query) or ["20"])[0])
        after = (re.findall(r"after=([^&]+)", query) or [None])[0]
        ids = sorted(self.objects, key=lambda id: -self.objects[id]["created_at"])
        ids = ids[ids.index(after) + 1 :] if after else ids
        shown = [self.objects[id] for id in ids[:limit]]
        more = len(ids) > limit
        return {"object": "list", "data": shown, "has_more": more, "first_id": "x", "last_id": "y"}


async def ask(gateway: InProcess, key: str, work: Callable[[openai.OpenAI], T], **more: Any) -> T:
    def run() -> T:
        with openai.OpenAI(
            base_url=gateway.url,
            http_client=sdk_client(openai),
            api_key=key,
            timeout=20,
            max_retries=0,
            **more,
        ) as client:
            return work(client)

    return await trio.to_thread.run_sync(run)


def upload(client: openai.OpenAI) -> Any:
    file = io.BytesIO(LINES * 100)
    file.name = "batch.jsonl"
    return client.files.create(file=file, purpose="batch")


async def refused(gateway: InProcess, key: str, work: Callable[[openai.OpenAI], Any]) -> int:
    with pytest.raises(openai.APIStatusError) as caught:
        await ask(gateway, key, work)
    return caught.value.status_code


async def test_objects_are_there_for_the_key_that_made_them() -> None:
    account = Account()
    async with (
        providing(account) as provider,
        in_process(config(provider.port, tokens=TOKENS)) as gateway,
    ):
        mine = await ask(gateway, ALICE, upload)
        assert account.objects[mine.id]["bytes"] > len(LINES) * 100
        batch = await ask(
            gateway,
            ALICE,
            lambda c: c.batches.create(
                input_file_id=mine.id, endpoint="/v1/chat/completions", completion_window="24h"
            ),
        )
        output_id = batch.output_file_id
        assert output_id is not None
        for number in range(120):
            account.add("file", id=f"file-others-later{number:03}")
        theirs = await ask(gateway, BOB, upload)
        assert (await ask(gateway, ALICE, lambda c: c.files.retrieve(mine.id))).id == mine.id
        content = await ask(gateway, ALICE, lambda c: c.files.content(mine.id).content)
        assert content == LINES
        output = await ask(gateway, ALICE, lambda c: c.files.content(output_id).content)
        assert output == b"output"
        # Each lists its own, however many of others come before.
        listed = await ask(gateway, ALICE, lambda c: [each.id for each in c.files.list(limit=1)])
        assert listed == [batch.id, batch.output_file_id, mine.id]
        assert [each.id for each in (await ask(gateway, BOB, lambda c: c.files.list())).data] == [
            theirs.id
        ]
        before = len(account.asked)
        for work in (
            lambda c: c.files.retrieve(mine.id),
            lambda c: c.files.content(mine.id),
            lambda c: c.files.delete(mine.id),
            lambda c: c.batches.retrieve(batch.id),
            lambda c: c.batches.cancel(batch.id),
            lambda c: c.files.retrieve("file-others001"),
            lambda c: c.files.retrieve("file-nothing1"),
            lambda c: c.vector_stores.create(file_ids=[theirs.id, mine.id]),
            lambda c: c.vector_stores.create(file_ids=["file-others001"]),
            lambda c: c.files.list(after=mine.id),
        ):
            assert await refused(gateway, BOB, work) == 404
        async with calling(gateway.port) as caller:
            hidden = b'{"file_ids": ["%b"]}' % mine.id.replace("-", "\\u002d").encode()
            await caller.post(hidden, key=BOB, target="/v1/vector_stores")
            assert (await caller.reply()).status == 404
        # Models in a batch are not read.
        assert (
            await refused(
                gateway,
                BOB,
                lambda c: c.batches.create(
                    input_file_id=theirs.id, endpoint="/v1/responses", completion_window="24h"
                ),
            )
            == 403
        )
        assert len(account.asked) == before
        store = await ask(gateway, BOB, lambda c: c.vector_stores.create(file_ids=[theirs.id]))
        assert store.id.startswith("vs-")
        await ask(gateway, ALICE, lambda c: c.files.delete(mine.id))
        assert await refused(gateway, ALICE, lambda c: c.files.retrieve(mine.id)) == 404
        record = await gateway.record()
    assert (record.operation, record.provider, record.end_reason) == (
        *("files", "p0", EndReason.COMPLETE),
    )
    assert record.cost_nano_usd == 0
    assert {key for _, _, key in account.asked} == {"Bearer sk-provider"}


async def test_of_several_providers_the_one_that_keeps_an_object_is_asked() -> None:
    one, two = Account("a"), Account("b")
    async with (
        providing(one) as first,
        providing(two) as second,
        in_process(config(first.port, second.port, tokens=TOKENS)) as gateway,
    ):
        assert await refused(gateway, ALICE, upload) == 400
        header = {"x-gateway-provider": "p1"}
        mine = await ask(gateway, ALICE, upload, default_headers=header)
        assert mine.id in two.objects
        assert (await ask(gateway, ALICE, lambda c: c.files.retrieve(mine.id))).id == mine.id
        wrong = {"x-gateway-provider": "p7"}
        with pytest.raises(openai.PermissionDeniedError):
            await ask(gateway, ALICE, upload, default_headers=wrong)
    assert one.asked == []


async def test_two_gateways_with_one_database_know_the_same_objects(tmp_path: Path) -> None:
    account = Account()
    store = f'url = "sqlite:///{tmp_path}/gateway.db"'
    async with providing(account) as provider:
        text = config(provider.port, tokens=TOKENS, store=store)
        async with in_process(text) as gateway:
            mine = await ask(gateway, ALICE, upload)
            async with in_process(text) as sister:
                assert (await ask(sister, ALICE, lambda c: c.files.retrieve(mine.id))).id == mine.id
        async with in_process(text) as again:
            assert (await ask(again, ALICE, lambda c: c.files.retrieve(mine.id))).id == mine.id
            assert await refused(again, BOB, lambda c: c.files.retrieve(mine.id)) == 404


async def test_what_a_request_to_a_model_names_is_the_callers_own() -> None:
    accounts = [Account("a"), Account("b")]
    asked: list[tuple[str, str, dict[str, Any]]] = []

    def answering(number: int) -> Callable[[Visit], Any]:
        async def answer(visit: Visit) -> None:
            if "completions" not in visit.target and "responses" not in visit.target:
                await accounts[number](visit)
                return
            body = json.loads(await visit.read())
            asked.append((f"p{number}", visit.headers["authorization"], body))
            if "responses" in visit.target:
                answer = {"id": "resp_1", "object": "response", "status": "completed", "output": []}
            else:
                answer = completion("hi")
            await visit.reply(200, json.dumps(answer).encode())

        return answer

    async with providing(answering(0)) as one, providing(answering(1)) as two:
        file = config(one.port, two.port, tokens=TOKENS, provider='api = "both"')
        keys = 'api_keys = ["sk-provider-0", "sk-provider-1"]'
        async with in_process(file.replace('api_key = "sk-provider"', keys)) as gateway:

            def upload_to(client: openai.OpenAI) -> Any:
                return client.with_options(
                    default_headers={"x-gateway-provider": "p1"}
                ).files.create(file=("a.pdf", b"%PDF"), purpose="user_data")

            mine = await ask(gateway, ALICE, upload_to)
            account = accounts[1].asked[-1][2]

            def chat(id: str) -> Callable[[openai.OpenAI], Any]:
                part: Any = {"type": "file", "file": {"file_id": id}}
                return lambda client: client.chat.completions.create(
                    model="m", messages=[{"role": "user", "content": [part]}]
                )

            def search(id: str) -> Callable[[openai.OpenAI], Any]:
                return lambda client: client.responses.create(
                    model="m",
                    input="hi",
                    tools=[{"type": "file_search", "vector_store_ids": [id]}],
                )

            # To the provider and the account that have it, each time.
            for _ in range(4):
                await ask(gateway, ALICE, chat(mine.id))
            assert [each[:2] for each in asked] == [("p1", account)] * 4
            for id in (mine.id, "file-notknown1", "file-others001"):
                assert await refused(gateway, BOB, chat(id)) == 404
            for id in ("file-notknown1", "file-others001"):
                assert await refused(gateway, ALICE, chat(id)) == 404
            assert await refused(gateway, ALICE, search("vs_notknown1")) == 404
            assert len(asked) == 4
            store = await ask(
                gateway,
                ALICE,
                lambda client: client.vector_stores.create(name="s", file_ids=[mine.id]),
            )
            await ask(gateway, ALICE, search(store.id))
            assert await refused(gateway, BOB, search(store.id)) == 404
            # A text that looks like an id is a text.
            await ask(
                gateway,
                BOB,
                lambda client: client.chat.completions.create(
                    model="m", messages=[{"role": "user", "content": f"file_id {mine.id}"}]
                ),
            )
            assert len(asked) == 6
            other = await ask(gateway, ALICE, lambda client: client.with_options(
                default_headers={"x-gateway-provider": "p0"}
            ).files.create(file=("b.pdf", b"%PDF"), purpose="user_data"))  # fmt: skip
            both: Any = [{"type": "file", "file": {"file_id": each.id}} for each in (mine, other)]
            apart = await refused(
                gateway,
                ALICE,
                lambda client: client.chat.completions.create(
                    model="m", messages=[{"role": "user", "content": both}]
                ),
            )
            assert apart == 400


async def test_no_spelling_of_a_body_names_what_is_anothers() -> None:
    """What one reader of JSON does not find, and another does, would be a way past the check."""
    account = Account()
    async with (
        providing(account) as provider,
        in_process(config(provider.port, tokens=TOKENS)) as gateway,
    ):
        theirs = (await ask(gateway, ALICE, upload)).id
        count = len(account.asked)
        plain = b'{"name":"s","file_ids":["%b"]}' % theirs.encode()
        twice = b'{"file_ids":["%b"],"file_ids":[]}' % theirs.encode()
        half = rb'{"name":"\ud800","file_ids":["%b"]}' % theirs.encode()
        escaped = plain.replace(b"file-", rb"file\u002d")
        # Not as the API has it: whether a provider reads it, only the provider knows.
        form = b"file_ids=%b" % theirs.encode()
        for body, kind, status in (
            *((each, "application/json", 404) for each in (plain, twice, half, escaped)),
            *((plain, each, 404) for each in ("", "text/plain", "application/x.json")),
            (b"\xef\xbb\xbf" + plain, "text/plain", 404),
            (plain.decode().encode("utf-16"), "application/json", 404),
            (form, "application/x-www-form-urlencoded", 404),
            (plain + b",", "application/json", 400),
            (b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"," + plain[1:], "application/json", 400),
        ):
            async with calling(gateway.port) as caller:
                await caller.post(
                    body, key=BOB, target="/v1/vector_stores", headers=[("content-type", kind)]
                )
                assert (await caller.reply()).status == status, (body[:100], kind)
        assert len(account.asked) == count
