"""Images and sound by the official SDK, over scripted providers: forms, retries, streams, cost."""

from __future__ import annotations

import gzip
import io
import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
import trio

from gateway.core.capture.transcript import PASSED_ON, Transcript, decode
from gateway.core.records.record import EndReason
from tests.late import openai

from ..http_client import sdk_client
from .caller import calling
from .harness import InProcess, config, in_process
from .provider import until
from .streaming_provider import Visit, providing

pytestmark = [
    pytest.mark.slow,
    # The SDK advises against some of them, and still has them.
    pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning"),
]

T = TypeVar("T")
MIB: Final = 1024 * 1024
PNG: Final = b"\x89PNG" + bytes(range(256)) * 20
SOUND: Final = bytes(range(256)) * 400
USAGE: Final = {
    "input_tokens": 50,
    "output_tokens": 1000,
    "total_tokens": 1050,
    "input_tokens_details": {"text_tokens": 40, "image_tokens": 10},
}
EVENTS: Final = (
    b'data: {"type":"transcript.text.delta","delta":"he"}\n\n'
    b'data: {"type":"transcript.text.done","text":"he","usage":{"type":"tokens",'
    b'"input_tokens":10,"output_tokens":2,"total_tokens":12}}\n\n'
)


class Provider:
    """Answers as OpenAI does; the first `failing` requests get a 503."""

    def __init__(self, failing: int = 0) -> None:
        self.failing = failing
        self.asked: list[tuple[str, bytes]] = []

    async def __call__(self, visit: Visit) -> None:
        body = await visit.read()
        self.asked.append((visit.target, body))
        if self.failing:
            self.failing -= 1
            await visit.reply(503, b'{"error":{"message":"busy"}}')
        elif "/images/" in visit.target and b'"stream"' in body:
            event = {"type": "image_generation.completed", "b64_json": "YWJj", "usage": USAGE}
            await self.events(visit, b"data: " + json.dumps(event).encode() + b"\n\n")
        elif "/images/" in visit.target:
            found = {"created": 1, "data": [{"b64_json": "YWJj"}], "usage": USAGE}
            await visit.reply(200, json.dumps(found).encode())
        elif visit.target.endswith("/speech") and b"sse" in body:
            await self.events(
                visit,
                b'data: {"type":"speech.audio.done","usage":%b}\n\n' % json.dumps(USAGE).encode(),
            )
        elif visit.target.endswith("/speech"):
            await visit.begin(200, content_type="audio/mpeg")
            for at in range(0, len(SOUND), 1000):
                await visit.send(SOUND[at : at + 1000])
            await visit.end()
        elif b"stream" in body:
            await self.events(visit, EVENTS)
        elif b"srt" in body:
            await visit.reply(200, b"1\n00:00 --> 00:01\nhello\n", content_type="text/plain")
        else:
            await visit.reply(200, b'{"text":"hello","usage":{"type":"duration","seconds":3}}')

    async def events(self, visit: Visit, data: bytes) -> None:
        await visit.begin(200, content_type="text/event-stream")
        await visit.send(data)
        await visit.end()


async def ask(gateway: InProcess, work: Callable[[openai.OpenAI], T], **more: Any) -> T:
    def run() -> T:
        with openai.OpenAI(
            base_url=gateway.url, http_client=sdk_client(openai), api_key="sk-x", timeout=20, **more
        ) as client:
            return work(client)

    return await trio.to_thread.run_sync(run)


def named(data: bytes, name: str = "x.png") -> io.BytesIO:
    file = io.BytesIO(data)
    file.name = name
    return file


def field(body: bytes, name: str) -> bytes:
    """Return the value of a field of a form."""
    return body.partition(b'name="%b"\r\n\r\n' % name.encode())[2].partition(b"\r\n--")[0]


async def test_every_operation_by_the_sdk() -> None:
    provider = Provider()
    async with providing(provider) as server, in_process(config(server.port)) as gateway:
        image = await ask(gateway, lambda c: c.images.generate(model="m", prompt="a cat"))
        streamed = await ask(
            gateway,
            lambda c: [*c.images.generate(model="m", prompt="a cat", stream=True)],
        )
        edited = await ask(
            gateway,
            lambda c: c.images.edit(model="m", image=[named(PNG), named(PNG)], prompt="blue"),
        )
        varied = await ask(
            gateway, lambda c: c.images.create_variation(model="m", image=named(PNG))
        )

        def speak(client: openai.OpenAI) -> tuple[str, bytes]:
            with client.audio.speech.with_streaming_response.create(
                model="m", voice="alloy", input="hello"
            ) as answer:
                return answer.headers["content-type"], b"".join(answer.iter_bytes())

        kind, sound = await ask(gateway, speak)
        heard = await ask(
            gateway,
            lambda c: c.audio.transcriptions.create(model="m", file=named(SOUND, "a.mp3")),
        )
        subtitles = await ask(
            gateway,
            lambda c: c.audio.transcriptions.create(
                model="m", file=named(SOUND, "a.mp3"), response_format="srt"
            ),
        )
        events = await ask(
            gateway,
            lambda c: [
                *c.audio.transcriptions.create(model="m", file=named(SOUND, "a.mp3"), stream=True)
            ],
        )
        translated = await ask(
            gateway, lambda c: c.audio.translations.create(model="m", file=named(SOUND, "a.mp3"))
        )
        records = [await gateway.record(number) for number in range(1, 10)]
    for found in (image, edited, varied):
        assert found.data is not None
        assert found.data[0].b64_json == "YWJj"
    assert streamed[0].type == "image_generation.completed"
    assert (kind, sound) == ("audio/mpeg", SOUND)
    assert heard.text == translated.text == "hello"
    assert str(subtitles).startswith("1\n00:00")
    assert [each.type for each in events] == ["transcript.text.delta", "transcript.text.done"]
    assert [target for target, _ in provider.asked] == [
        *("/v1/images/generations", "/v1/images/generations", "/v1/images/edits"),
        *("/v1/images/variations", "/v1/audio/speech"),
        *("/v1/audio/transcriptions",) * 3,
        "/v1/audio/translations",
    ]
    for target, body in provider.asked:
        if target in ("/v1/images/generations", "/v1/audio/speech"):
            assert json.loads(body)["model"] == "real-model"
        else:
            assert field(body, "model") == b"real-model"
    assert provider.asked[2][1].count(PNG) == 2
    assert SOUND in provider.asked[5][1]
    assert [record.operation for record in records] == [
        *("images", "images", "image_edits", "image_variations", "speech"),
        *("transcriptions",) * 3,
        "translations",
    ]
    assert {(record.model, record.provider, record.end_reason) for record in records} == {
        ("m", "p0", EndReason.COMPLETE)
    }
    # 50 at 1 and 1000 at 2 USD a million; seconds of sound have no price here, which is not 0.
    cost = 50_000 + 2_000_000
    assert [record.cost_nano_usd for record in records] == [
        *(cost, cost, cost, cost, None, None, None, 10_000 + 4_000, None),
    ]
    assert records[0].input_image_tokens == 10


async def test_what_fails_is_tried_again_elsewhere_with_the_whole_body() -> None:
    first, second = Provider(failing=9), Provider()
    async with (
        providing(first) as one,
        providing(second) as two,
        in_process(config(one.port, two.port)) as gateway,
    ):
        await ask(gateway, lambda c: c.images.generate(model="m", prompt="x"), max_retries=0)
        await ask(
            gateway,
            lambda c: c.audio.transcriptions.create(model="m", file=named(SOUND, "a.mp3")),
            max_retries=0,
        )
        records = [await gateway.record(number) for number in (1, 2)]
    for (_, failed), (_, body) in zip(first.asked, second.asked, strict=True):
        assert failed == body
    assert [len(record.attempts) for record in records] == [2, 2]
    assert {record.provider for record in records} == {"p1"}


def form(size: int) -> tuple[bytes, bytes]:
    """Return what comes before and behind a file in a form whose model comes last."""
    head = (
        b'--X\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n'
        b"Content-Type: audio/mpeg\r\n\r\n"
    )
    tail = b'\r\n--X\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--X--\r\n'
    return head, tail


KIND: Final = (("content-type", "multipart/form-data; boundary=X"), ("authorization", "Bearer x"))
TARGET: Final = "/v1/audio/transcriptions"


@pytest.mark.measured
async def test_a_large_form_whose_model_comes_last_or_first_holds_no_memory() -> None:
    sizes: list[int] = []
    names: list[bytes] = []
    size = 40 * MIB
    piece = SOUND[:65536]
    head, tail = form(size)
    model, last = tail[2:-9], b"\r\n--X--\r\n"

    async def answer(visit: Visit) -> None:
        seen = got = 0
        rest = b""
        while data := await visit.receive():
            got += len(data)
            rest += data
            seen += b'name="model"\r\n\r\nreal-model\r\n' in rest
            rest = rest[-100:] if not seen else b""
        sizes.append(got)
        names.append(visit.headers["content-length"].encode())
        assert seen == 1
        await visit.reply(200, b'{"text":"hello"}')

    async with providing(answer) as provider, in_process(config(provider.port)) as gateway:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for parts in ((head, tail), (model + b"\r\n" + head, last)):
            async with calling(gateway.port) as caller:
                await caller.begin(
                    len(parts[0]) + size + len(parts[1]), target=TARGET, headers=KIND
                )
                await caller.send(parts[0])
                for _ in range(size // len(piece)):
                    await caller.send(piece)
                await caller.send(parts[1], end=True)
                reply = await caller.reply()
                assert (reply.status, reply.json) == (200, {"text": "hello"})
        records = [await gateway.record(number) for number in (1, 2)]
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert [str(each).encode() for each in sizes] == names
    assert sizes[0] == len(head) + size + len(tail) + len("real-model") - 1
    assert {record.end_reason for record in records} == {EndReason.COMPLETE}
    assert grown * 1024 < 16 * MIB


async def test_forms_that_are_refused() -> None:
    head, tail = form(3)

    async def answer(visit: Visit) -> None:
        await visit.read()
        await visit.reply(200, b"{}")

    other = b'--X\r\nContent-Disposition: form-data; name="model"\r\n\r\nother\r\n'
    cases = [
        (head + b"abc\r\n--X--\r\n", 400, "invalid_request"),
        (head + b"abc" + tail.replace(b"m\r\n--X--", b"unknown\r\n--X--"), 404, "model_not_found"),
        (other + head + b"abc" + tail, 400, "invalid_form"),
        (head + b"abc" + tail[:-8], 400, "invalid_form"),
        (b"nonsense", 400, "invalid_form"),
    ]
    # What is refused only while it is being sent: the provider never gets the whole.
    late = tail[2:-9] + b"\r\n" + head + SOUND * 10 + b"\r\n" + other + b"--X--\r\n"
    async with providing(answer) as provider, in_process(config(provider.port)) as gateway:
        for body, status, code in [*cases, (late, 400, "invalid_form")]:
            async with calling(gateway.port) as caller:
                await caller.post(body, target=TARGET, headers=KIND)
                reply = await caller.reply()
                assert (reply.status, reply.error["code"]) == (status, code), body[:200]
        await gateway.settled()
        async with calling(gateway.port) as caller:
            await caller.post(b"x", target=TARGET, headers=(("content-type", "text/plain"),))
            assert (await caller.reply()).status in (400, 415)
    await until(lambda: all(visit.cut for visit in provider.visits), "requests that were cut")


async def test_a_stream_that_breaks_says_so() -> None:
    async def answer(visit: Visit) -> None:
        await visit.read()
        await visit.begin(200, content_type="text/event-stream")
        await visit.send(EVENTS[:70])
        await visit.stream.aclose()

    async with providing(answer) as provider, in_process(config(provider.port)) as gateway:
        with pytest.raises(openai.APIError):
            await ask(
                gateway,
                lambda c: [
                    *c.audio.transcriptions.create(
                        model="m", file=named(SOUND, "a.mp3"), stream=True
                    )
                ],
            )
        assert (await gateway.record()).end_reason is EndReason.UPSTREAM_BROKE


async def test_reranks_are_routed_and_cost_by_units_of_search() -> None:
    ranks = {
        "results": [{"index": 1, "relevance_score": 0.5}],
        "meta": {"billed_units": {"search_units": 2}},
    }
    asked: list[tuple[str, Any]] = []

    async def answer(visit: Visit) -> None:
        asked.append((visit.target, json.loads(await visit.read())))
        failing = len(asked) == 1
        await visit.reply(503 if failing else 200, json.dumps(ranks).encode())

    text = config(1).replace("output_price = 2", "search_price = 2")
    async with providing(answer) as provider:
        text = text.replace("127.0.0.1:1/", f"127.0.0.1:{provider.port}/")
        async with in_process(text) as gateway:
            for target in ("/v2/rerank", "/v1/rerank"):
                async with calling(gateway.port) as caller:
                    body = {"model": "m", "query": "q", "documents": ["a", "b"]}
                    await caller.post(json.dumps(body).encode(), target=target)
                    reply = await caller.reply()
                    assert (reply.status, reply.json) == (200, ranks)
            records = [await gateway.record(number) for number in (1, 2)]
    assert asked[0] == ("/v1/rerank", body | {"model": "real-model"})
    assert [(record.operation, record.cost_nano_usd) for record in records] == [
        ("rerank", 4_000_000),
        ("rerank", 4_000_000),
    ]
    assert [len(record.attempts) for record in records] == [2, 1]


async def test_the_debug_log_keeps_what_was_asked_and_answered(tmp_path: Path) -> None:
    debug = f'[debug_log]\nsample = 1.0\nfolder = "{tmp_path}"\n'
    async with (
        providing(Provider()) as server,
        in_process(config(server.port, tokens=debug)) as gateway,
    ):
        await ask(gateway, lambda c: c.images.generate(model="m", prompt="a cat"))
        await ask(
            gateway,
            lambda c: c.audio.transcriptions.create(model="m", file=named(SOUND, "a.mp3")),
        )
        for number in (1, 2):
            await gateway.record(number)
    # The application has written them when it ends.
    found = {each.request.target: each for each in kept(tmp_path)}
    image = found["/v1/images/generations"]
    assert json.loads(image.request.body.data)["prompt"] == "a cat"
    assert image.body is not None
    assert json.loads(image.body.body.data)["data"] == [{"b64_json": "YWJj"}]
    # A form is passed on as it comes, and held nowhere.
    heard = found["/v1/audio/transcriptions"]
    assert heard.request.body.withheld == PASSED_ON
    assert heard.request.truncated
    assert heard.body is not None
    assert json.loads(heard.body.body.data)["text"] == "hello"


def kept(folder: Path) -> list[Transcript]:
    packed = [each.read_bytes() for each in folder.rglob("*.jsonl.gz")]
    found = [decode(gzip.decompress(each).splitlines()) for each in packed]
    return [each for each in found if each is not None]
