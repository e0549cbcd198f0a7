"""What batches cost: charged once, to the request that first gets to see what they have used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.core.records.record import Record

from .caller import Headers, Reply, calling
from .harness import InProcess, in_process
from .streaming_provider import Visit, providing

CONFIG: Final = """
[server]
bind = "127.0.0.1:0"
drain_delay = 0
[overload]
lag = 0
[store]
url = "{store}"
[providers.{name}]
base_url = "http://127.0.0.1:{port}{path}"
api_key = "sk-provider"
[[models]]
name = "m"
routes = [{{ provider = "{name}", model = "real-model" }}]
{more}
[[tokens]]
name = "alice"
key = "sk-alice-key"
tpm = 1000
budget = {{ usd = 5, window = "day" }}
"""
BATCH, OUTPUT = "batch_12345678", "file-output00001"
MESSAGES = "msgbatch_12345678"
# 1,000,000 in, of which 200,000 cached; 100,000 out. A million in costs 0.625, cached ones 0.0625.
USAGE: Final = {
    "input_tokens": 1_000_000,
    "input_tokens_details": {"cached_tokens": 200_000},
    "output_tokens": 100_000,
    "output_tokens_details": {"reasoning_tokens": 40_000},
    "total_tokens": 1_100_000,
}
COST: Final = 500_000_000 + 12_500_000 + 500_000_000


def line(number: int, model: str = "gpt-5", *, status: int = 200, **usage: int) -> bytes:
    body: dict[str, Any] = {"model": model, "choices": [{"message": {"content": '"usage": {'}}]}
    body |= {"usage": usage} if usage else {"error": {"message": "no"}}
    response = {"status_code": status, "request_id": "r", "body": body}
    return json.dumps({"id": f"r{number}", "response": response, "error": None}).encode() + b"\n"


def message(number: int, model: str = "claude-haiku-4-5-20251001", **usage: Any) -> bytes:
    result: dict[str, Any] = {"type": "errored", "error": {"type": "error"}}
    if usage:
        result = {"type": "succeeded", "message": {"model": model, "usage": usage}}
    return json.dumps({"custom_id": str(number), "result": result}).encode() + b"\n"


class Provider:
    """Has one batch, with `batch` in it once it is done, and `results`."""

    def __init__(self, results: bytes = b"", **batch: Any) -> None:
        self.batch: dict[str, Any] = {
            "id": BATCH,
            "object": "batch",
            "status": "completed",
            "output_file_id": OUTPUT,
            "usage": None,
        } | batch
        self.results = results

    async def __call__(self, visit: Visit) -> None:
        await visit.read()
        path = visit.target.removeprefix("/v1")
        if path.endswith(("/content", "/results")):
            if asked := visit.headers.get("range"):
                first, last = map(int, asked.removeprefix("bytes=").split("-"))
                await visit.reply(206, self.results[first : last + 1], content_type="text/plain")
                return
            await visit.begin(content_type="application/jsonl", transfer_encoding="chunked")
            for start in range(0, len(self.results), 1000):
                await visit.send(self.results[start : start + 1000])
            await visit.end()
        else:
            # As OpenAI writes it, on many lines.
            made = self.batch | ({"status": "validating"} if visit.method == "POST" else {})
            await visit.reply(200, json.dumps(made, indent=2).encode())


def config(port: int, name: str = "openai", *, store: str = "", more: str = "") -> str:
    path = "/v1" if name == "openai" else ""
    return CONFIG.format(port=port, name=name, path=path, store=store, more=more)


async def ask(
    gateway: InProcess, method: str, target: str, headers: Headers = (), body: bytes = b""
) -> Reply:
    async with calling(gateway.port) as caller:
        if method == "POST":
            headers = (*headers, ("content-type", "application/json"))
            await caller.post(body or b"{}", target=target, headers=headers, key="sk-alice-key")
            reply = await caller.reply()
        else:
            reply = await caller.get(target, headers=headers, key="sk-alice-key")
    assert reply.status in (200, 206), reply.body
    return reply


async def made(gateway: InProcess, path: str = "/v1/batches") -> Record:
    await ask(gateway, "POST", path)
    return await last(gateway)


async def last(gateway: InProcess) -> Record:
    await gateway.settled()
    return gateway.records[-1]


async def costs(gateway: InProcess, *targets: str) -> list[int | None]:
    found = []
    for target in targets:
        await ask(gateway, "GET", target)
        found.append((await last(gateway)).cost_nano_usd)
    return found


THE_BATCH, CONTENT = f"/v1/batches/{BATCH}", f"/v1/files/{OUTPUT}/content"


async def test_a_batch_that_says_what_it_has_used_is_charged_once() -> None:
    provider = Provider(line(1, prompt_tokens=5, completion_tokens=5), model="gpt-5", usage=USAGE)
    async with providing(provider) as served, in_process(config(served.port)) as gateway:
        record = await made(gateway)
        assert (record.cost_nano_usd, record.input_tokens) == (None, None)
        assert await costs(gateway, THE_BATCH) == [COST]
        record = await last(gateway)
        assert (record.token, record.operation, record.counted_by) == (
            *("alice", "batches", "provider"),
        )
        assert (record.input_tokens, record.cached_tokens) == (1_000_000, 200_000)
        assert (record.output_tokens, record.reasoning_tokens) == (100_000, 40_000)
        assert record.price_source is not None
        assert "batches" in record.price_source
        # Neither another look nor the results cost anything again, nor has anybody used tokens.
        assert await costs(gateway, THE_BATCH, CONTENT, CONTENT, THE_BATCH) == [0, 0, 0, 0]
        assert {each.input_tokens for each in gateway.records[2:]} == {None}
        # A million tokens were used hours ago, and are none of this minute; the money is spent.
        reply = await ask(gateway, "GET", THE_BATCH)
        assert reply.headers["x-gateway-budget-remaining-usd"].startswith("3.98")


async def test_a_batch_that_is_under_way_costs_nothing_yet() -> None:
    provider = Provider(status="in_progress", model="gpt-5", usage=USAGE)
    async with providing(provider) as served, in_process(config(served.port)) as gateway:
        await made(gateway)
        assert await costs(gateway, THE_BATCH, THE_BATCH) == [0, 0]
        provider.batch["status"] = "completed"
        assert await costs(gateway, THE_BATCH, THE_BATCH) == [COST, 0]


async def test_results_say_it_where_the_batch_does_not() -> None:
    lines = [line(number, prompt_tokens=1000, completion_tokens=100) for number in range(100)]
    lines += [line(100, status=400), line(101, "gpt-4o-mini", prompt_tokens=2000)]
    # The last line has no end.
    provider = Provider(b"".join(lines).rstrip())
    async with providing(provider) as served, in_process(config(served.port)) as gateway:
        await made(gateway)
        assert await costs(gateway, THE_BATCH) == [0]
        await ask(gateway, "GET", CONTENT, [("range", "bytes=0-500")])
        assert (await last(gateway)).cost_nano_usd == 0
        reply = await ask(gateway, "GET", CONTENT)
        assert reply.body == provider.results
        record = await last(gateway)
        assert record.cost_nano_usd == 62_500_000 + 50_000_000 + 150_000
        assert (record.input_tokens, record.output_tokens) == (102_000, 10_000)
        assert await costs(gateway, CONTENT, THE_BATCH) == [0, 0]


async def test_message_batches_are_charged_by_their_results() -> None:
    cache = {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000}
    lines = [
        message(1, input_tokens=1000, output_tokens=100),
        message(2),
        message(
            3,
            input_tokens=0,
            output_tokens=100,
            cache_read_input_tokens=10_000,
            cache_creation_input_tokens=3000,
            cache_creation=cache,
        ),
        message(4, "claude-sonnet-4-5-20250929", input_tokens=1000, output_tokens=0),
    ]
    # 1000 * 0.5 + 200 * 2.5, 10,000 read at 0.05, 1000 written at 0.625, 2000 for an hour at 1.
    # 1000 * 1.5 of the other model.
    wanted = 1000 * (500 + 500 + 500 + 625 + 2000 + 1500)
    provider = Provider(b"".join(lines), id=MESSAGES, object="message_batch")
    path = "/v1/messages/batches"
    results = f"{path}/{MESSAGES}/results"
    async with (
        providing(provider) as served,
        in_process(config(served.port, "anthropic")) as gateway,
    ):
        assert (await made(gateway, path)).cost_nano_usd is None
        assert await costs(gateway, f"{path}/{MESSAGES}", results) == [0, wanted]
        record = await last(gateway)
        assert record.cache_write_1h_tokens == 2000
        assert (record.input_tokens, record.output_tokens) == (15_000, 200)
        assert await costs(gateway, results, results) == [0, 0]


@pytest.mark.parametrize(
    "results",
    [
        line(1, "nobody-knows", prompt_tokens=1000, completion_tokens=100),
        line(1, prompt_tokens=1000) + b"{broken\n",
        line(1, prompt_tokens=1000) + line(2, "", prompt_tokens=1),
    ],
)
async def test_what_cannot_be_known_is_null_once_and_never_zero(results: bytes) -> None:
    async with (
        providing(Provider(results)) as served,
        in_process(config(served.port)) as gateway,
    ):
        await made(gateway)
        assert await costs(gateway, THE_BATCH, CONTENT, CONTENT) == [0, None, 0]


async def test_what_is_free_is_free_in_batches() -> None:
    more = (
        '[[models]]\nname = "f"\nroutes = [{ provider = "openai", model = "mine",'
        " input_price = 0, output_price = 0 }]\n"
    )
    results = line(1, "mine", prompt_tokens=1000, completion_tokens=100)
    async with (
        providing(Provider(results)) as served,
        in_process(config(served.port, more=more)) as gateway,
    ):
        assert (await made(gateway)).cost_nano_usd is None
        assert await costs(gateway, THE_BATCH, CONTENT) == [0, 0]
        assert (await last(gateway)).input_tokens == 1000


async def test_to_cancel_a_batch_costs_nothing() -> None:
    async with providing(Provider()) as served, in_process(config(served.port)) as gateway:
        await made(gateway)
        await ask(gateway, "POST", f"{THE_BATCH}/cancel")
        assert (await last(gateway)).cost_nano_usd == 0


async def test_gateways_with_one_database_charge_it_once(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/gateway.db"
    provider = Provider(line(1, prompt_tokens=1_000_000))
    async with providing(provider) as served:
        text = config(served.port, store=store)
        async with in_process(text) as gateway:
            await made(gateway)
            await costs(gateway, THE_BATCH)
            async with in_process(text) as sister:
                assert await costs(sister, CONTENT) == [625_000_000]
            assert await costs(gateway, CONTENT) == [0]
        async with in_process(text) as again:
            assert await costs(again, CONTENT, THE_BATCH) == [0, 0]
