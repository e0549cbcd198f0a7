"""Google's Gemini API over real connections, raw and with Google's SDK."""

# ruff: noqa: SIM117  # a gateway inside the life of its provider

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

from gateway.core.records.record import EndReason

from ..core.dialects.gemini.events import call, chunk, dumped, text
from .caller import Headers, Reply, calling
from .harness import InProcess, in_process
from .provider import Asked, serving
from .wire import EOF, STALL, Script, broken, streamed, whole

BODY: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
STREAM = ":streamGenerateContent?alt=sse"
WHOLE = ":generateContent"
USAGE = {
    "promptTokenCount": 100,
    "cachedContentTokenCount": 60,
    "candidatesTokenCount": 5,
    "thoughtsTokenCount": 15,
    "totalTokenCount": 120,
}
# 40 new, 60 from the cache, 20 of output.
COST = 40_000 + 6_000 + 40_000


def config(*ports: int, more: str = "", server: str = "") -> str:
    providers = "\n".join(
        f'[providers.p{n}]\nkind = "gemini"\nbase_url = "http://127.0.0.1:{port}"\n'
        f'api_key = "AIza-provider-key"\n'
        for n, port in enumerate(ports)
    )
    prices = "input_price = 1, output_price = 2, cached_input_price = 0.1"
    routes = ", ".join(
        f'{{ provider = "p{n}", model = "real-model", {prices} }}' for n in range(len(ports))
    )
    return (
        f'[server]\nbind = "127.0.0.1:0"\n{server}\n[retry]\nbase = 0.01\ncap = 0.02\n'
        f'[overload]\nlag = 0\n[store]\nurl = ""\n{providers}\n'
        f'[[models]]\nname = "m"\nroutes = [{routes}]\n{more}'
    )


TOKENS = '[[tokens]]\nname = "app"\nkey = "sk-caller-secret-1"\n'


async def post(
    gateway: InProcess,
    method: str = WHOLE,
    headers: Headers = (),
    prefix: str = "/v1beta",
    body: dict[str, Any] = BODY,
    model: str = "m",
) -> Reply:
    async with calling(gateway.port) as caller:
        target = f"{prefix}/models/{model}{method}"
        await caller.post(json.dumps(body).encode(), target=target, headers=headers)
        return await caller.reply()


def events(*pieces: str) -> list[bytes]:
    chunks = [chunk(text(piece), usageMetadata=USAGE) for piece in pieces]
    chunks.append(chunk(text(""), reason="STOP", usageMetadata=USAGE))
    return [b"data: %b\r\n\r\n" % dumped(each) for each in chunks]


def mine(data: bytes) -> bytes:
    return data.replace(b"gemini-x", b"m").replace(b"\r\n\r\n", b"\n\n")


@pytest.mark.parametrize("prefix", ["/v1beta", "/v1", ""])
async def test_a_whole_answer_arrives_byte_for_byte(prefix: str) -> None:
    sent = json.dumps(
        chunk(text("caf\u00e9"), reason="STOP", usageMetadata=USAGE), indent=1
    ).encode()
    async with serving([(0.0, whole(200, sent))]) as provider:
        async with in_process(config(provider.port, more=TOKENS)) as gateway:
            key = ("x-goog-api-key", "sk-caller-secret-1")
            reply = await post(gateway, WHOLE, [key, ("x-goog-api-client", "a/1")], prefix)
            record = await gateway.record()
            asked = await provider.wait_asked(1)
    assert (reply.status, reply.complete, reply.body) == (200, True, mine(sent))
    assert asked.target == "/v1beta/models/real-model:generateContent"
    assert asked.headers["x-goog-api-key"] == "AIza-provider-key"
    assert "authorization" not in asked.headers
    assert "x-goog-api-client" not in asked.headers
    assert asked.body == json.dumps(BODY).encode()
    assert (record.operation, record.token) == ("generate_content", "app")
    assert (record.input_tokens, record.output_tokens, record.cached_tokens) == (100, 20, 60)
    assert (record.reasoning_tokens, record.cost_nano_usd) == (15, COST)


async def test_a_stream_arrives_in_both_framings() -> None:
    sent = events("Hel", "lo", " Z\u00fcrich")
    async with serving(streamed(sent)) as provider, in_process(config(provider.port)) as gateway:
        sse = await post(gateway, STREAM)
        array = await post(gateway, ":streamGenerateContent")
        record = await gateway.record()
        asked = await provider.wait_asked(2)
        await gateway.settled()
    assert sse.complete
    assert array.complete
    assert sse.body == mine(b"".join(sent))
    assert sse.headers["content-type"].startswith("text/event-stream")
    assert array.headers["content-type"].startswith("application/json")
    assert array.json == [json.loads(each[6:]) for each in sse.body.decode().split("\n\n")[:-1]]
    # Whatever the caller reads, the provider is asked for events.
    assert asked.target == "/v1beta/models/real-model:streamGenerateContent?alt=sse"
    assert record.end_reason is EndReason.COMPLETE
    assert (record.cost_nano_usd, record.events) == (COST, 4)


async def test_a_key_in_an_address_goes_nowhere_else(
    capfd: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    key = "sk-caller-secret-1"
    debug = f'[debug_log]\nfolder = "{tmp_path}/debug"\nsample = 1.0\n'
    script = streamed(events("Hi"))
    async with serving(script) as provider:
        async with in_process(config(provider.port, more=TOKENS + debug)) as gateway:
            reply = await post(gateway, f"{STREAM}&key={key}")
            array = await post(gateway, f":streamGenerateContent?key={key}")
            wrong = await post(gateway, f"{STREAM}&key=sk-wrong-secret-9")
            async with calling(gateway.port) as caller:
                listed = await caller.get(f"/v1/models?key={key}")
                one = await caller.get(f"/models/m?key={key}")
                lost = await caller.get(f"/v1beta/nothing?key={key}")
            await gateway.settled()
            records = repr(gateway.records)
        seen = repr([(each.target, each.headers, each.body) for each in provider.asked])
    assert (reply.status, array.status, wrong.status) == (200, 200, 401)
    assert [each["name"] for each in listed.json["models"]] == ["models/m"]
    assert one.json["name"] == "models/m"
    assert (lost.status, lost.error["status"]) == (404, "NOT_FOUND")
    out, err = capfd.readouterr()
    kept = "".join(
        file.read_bytes().decode("latin-1") for file in tmp_path.rglob("*") if file.is_file()
    )
    for place in (records, seen, out, err, kept):
        assert "secret" not in place


async def test_errors_are_google_s_from_the_first_gate_on() -> None:
    async with in_process(config(1, more=TOKENS)) as gateway:
        key = ("x-goog-api-key", "sk-caller-secret-1")
        none = await post(gateway)
        unknown = await post(gateway, headers=[key], model="nope")
        broken_body = await post(gateway, headers=[key], body=[])  # type: ignore[arg-type]
        other = await post(gateway, ":predict", headers=[key])
        async with calling(gateway.port) as caller:
            await caller.stream.send_all(
                b"POST /v1beta/models/m:generateContent HTTP/1.1\r\nhost: h\r\n"
                b"content-length: 5\r\ncontent-length: 6\r\n\r\n"
            )
            refused = await caller.reply()
    for reply, status, word in (
        (none, 401, "UNAUTHENTICATED"),
        (unknown, 404, "NOT_FOUND"),
        (broken_body, 400, "INVALID_ARGUMENT"),
        (other, 404, "NOT_FOUND"),
        (refused, 400, "INVALID_ARGUMENT"),
    ):
        assert (reply.status, reply.error["code"], reply.error["status"]) == (status, status, word)


@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize("deed", ["cut", "error"])
async def test_a_stream_that_breaks(deed: str, array: bool) -> None:
    begun = events("Hel", "lo")[:2]
    error = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}
    script: Script = broken(begun, EOF)
    if deed == "error":
        script = streamed([*begun, b"data: %b\r\n\r\n" % dumped(error)])
    async with serving(script) as provider, in_process(config(provider.port)) as gateway:
        reply = await post(gateway, ":streamGenerateContent" if array else STREAM)
        record = await gateway.record()
    if array:
        # It is whole JSON all the same.
        assert reply.complete
        found = reply.json
    else:
        found = [json.loads(each[6:]) for each in reply.body.decode().split("\n\n")[:-1]]
    assert [each["candidates"][0]["content"]["parts"][0]["text"] for each in found[:-1]] == [
        *("Hel", "lo"),
    ]
    assert list(found[-1]) == ["error"]
    assert 400 <= found[-1]["error"]["code"] < 600
    if deed == "error":
        assert found[-1] == error
    assert record.end_reason is EndReason.UPSTREAM_BROKE


async def test_a_refusal_is_shown_as_it_came_and_limits_go_elsewhere() -> None:
    bad = {"error": {"code": 400, "message": "Bad", "status": "INVALID_ARGUMENT", "x": 1}}
    async with serving([(0.0, whole(400, bad))]) as provider:
        async with in_process(config(provider.port)) as gateway:
            reply = await post(gateway)
            assert (reply.status, reply.json) == (400, bad)
    spent = {"error": {"code": 429, "message": "Quota", "status": "RESOURCE_EXHAUSTED"}}
    async with (
        serving([(0.0, whole(429, spent))]) as first,
        serving(streamed(events("Hi"))) as last,
    ):
        async with in_process(config(first.port, last.port)) as gateway:
            reply = await post(gateway, STREAM)
            record = await gateway.record()
    assert reply.body == mine(b"".join(events("Hi")))
    assert [each.status for each in record.attempts] == [429, 200]


async def test_a_silent_provider_is_filled_with_nothing() -> None:
    sent = events("Hi")
    script: Script = [*streamed(sent)[:2], (0.4, b""), *streamed(sent)[2:]]
    server = "keep_alive_comment = 0.1"
    async with serving(script) as provider:
        async with in_process(config(provider.port, server=server)) as gateway:
            sse = await post(gateway, STREAM)
            array = await post(gateway, ":streamGenerateContent")
    assert b":" not in sse.body.replace(b"data: ", b"").split(b"{")[0]
    assert len(array.json) == 2
    assert sse.body.count(b"data: ") == 2


async def test_the_cache_tells_framings_apart() -> None:
    def answer(asked: Asked) -> Script:
        if "stream" in asked.target:
            return streamed(events("Hi"))
        return [(0.0, whole(200, chunk(text("Hi"), reason="STOP")))]

    ttl = ("x-gateway-cache", "ttl=60")
    async with serving(answer) as provider, in_process(config(provider.port)) as gateway:
        for method in (WHOLE, STREAM, ":streamGenerateContent"):
            first = await post(gateway, method, [ttl])
            again = await post(gateway, method, [ttl])
            assert again.headers["x-gateway-cache"] == "hit"
            assert (again.body, again.headers["content-type"]) == (
                first.body,
                first.headers["content-type"],
            )
        assert len(provider.asked) == 3


async def test_numbers() -> None:
    def answer(asked: Asked) -> Script:
        path = asked.target.rpartition(":")[2]
        found: dict[str, Any] = {
            "countTokens": {"totalTokens": 8, "odd": 1.5},
            "embedContent": {"embedding": {"values": [0.1]}},
            "batchEmbedContents": {"embeddings": [{"values": [0.1]}]},
        }
        return [(0.0, whole(200, found[path]))]

    async with serving(answer) as provider:
        chat = (
            f'[providers.chat]\nkind = "openai"\nbase_url = "http://127.0.0.1:{provider.port}/v1"\n'
            '[[models]]\nname = "c"\nroutes = [{ provider = "chat", model = "x" }]\n'
        )
        async with in_process(config(provider.port, more=chat)) as gateway:
            counted = await post(gateway, ":countTokens")
            one = await post(gateway, ":embedContent", body={"content": BODY["contents"][0]})
            requests = [{"model": "models/m", "content": BODY["contents"][0]}]
            many = await post(gateway, ":batchEmbedContents", body={"requests": requests})
            guessed = await post(gateway, ":countTokens", model="c")
            none = await post(gateway, ":embedContent", model="c", body={"content": {}})
            records = list(gateway.records)
        asked = [each.json for each in provider.asked]
    assert counted.json == {"totalTokens": 8, "odd": 1.5}
    assert "x-gateway-estimate" not in counted.headers
    assert (one.json, many.json) == (
        {"embedding": {"values": [0.1]}},
        {"embeddings": [{"values": [0.1]}]},
    )
    assert asked[2]["requests"][0]["model"] == "models/real-model"
    assert guessed.json["totalTokens"] > 0
    assert guessed.headers["x-gateway-estimate"] == "true"
    assert (none.status, none.error["status"]) == (400, "INVALID_ARGUMENT")
    assert [record.operation for record in records][:3] == [
        *("count_tokens", "embeddings", "embeddings"),
    ]
    assert records[0].cost_nano_usd == 0


async def test_a_caller_that_leaves_leaves_nothing() -> None:
    script: Script = [*streamed(events("Hi"))[:2], (0.0, STALL)]
    async with serving(script) as provider, in_process(config(provider.port)) as gateway:
        async with calling(gateway.port) as caller:
            await caller.post(json.dumps(BODY).encode(), target=f"/v1beta/models/m{STREAM}")
            await caller.head()
            await caller.until(b"Hi")
            asked = await provider.wait_asked(1)
            await caller.stream.aclose()
        await asked.peer_left.wait()
        record = await gateway.record()
        await gateway.settled()
    assert record.end_reason is EndReason.CLIENT_GONE


@pytest.mark.slow
async def test_the_sdk() -> None:
    """Streamed, with a function that it calls itself; and what it raises."""
    genai = pytest.importorskip("google.genai")

    def answer(asked: Asked) -> Script:
        last = asked.json["contents"][-1]["parts"][0]
        if "functionResponse" in last:
            said = json.dumps(last["functionResponse"]["response"])
            return streamed(events(said))
        signed = call("weather", args={"city": "Oslo"}) | {"thoughtSignature": "c2lnbmVk"}
        chunks = [chunk(text("Hm", thought=True)), chunk(signed), chunk(text(""), reason="STOP")]
        return streamed([b"data: %b\r\n\r\n" % dumped(each) for each in chunks])

    def weather(city: str) -> str:
        """Tell the weather."""
        return f"22 degrees in {city}"

    async with serving(answer) as provider, in_process(config(provider.port)) as gateway:

        def talk() -> tuple[str, Any]:
            options = genai.types.HttpOptions(base_url=f"http://127.0.0.1:{gateway.port}")
            client = genai.Client(api_key="sk-any", http_options=options)
            chat = client.chats.create(
                model="m", config=genai.types.GenerateContentConfig(tools=[weather])
            )
            said = "".join(each.text or "" for each in chat.send_message_stream("Weather?"))
            with pytest.raises(genai.errors.ClientError) as caught:
                client.models.generate_content(model="nope", contents="Hi")
            client.close()
            return said, caught.value

        said, error = await trio.to_thread.run_sync(talk)
        asked = [each.json for each in provider.asked]
    assert json.loads(said) == {"result": "22 degrees in Oslo"}
    assert (error.code, error.status) == (404, "NOT_FOUND")
    assert '"thoughtSignature": "c2lnbmVk"' in json.dumps(asked[1]).replace(
        "thought_signature", "thoughtSignature"
    )
