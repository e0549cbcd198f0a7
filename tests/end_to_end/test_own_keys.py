"""A provider that repeats its key, in every place and in every spelling that it could."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any, Final

import pytest

from .caller import calling, chat_body
from .harness import config, in_process
from .provider import serving
from .wire import DONE, LAST_CHUNK, Script, Step, completion, event, framed, stream_head, whole

KEY: Final = "sk-prov/ab-12345678"
FORMS: Final = {
    "plain": KEY,
    "slash": KEY.replace("/", "\\/"),
    "hyphen": KEY.replace("-", "\\u002d"),
    "all": "".join(f"\\u{ord(each):04X}" for each in KEY),
}


def text(port: int, retry: str) -> str:
    return config(port, retry=f"base = 0.01\ncap = 0.02\n{retry}").replace(
        '"sk-provider"', f'"{KEY}"'
    )


async def answer(script: Script, retry: str = "", **body: Any) -> bytes:
    """Return head and body of what a caller gets."""
    async with serving(script) as provider, in_process(text(provider.port, retry)) as gateway:
        async with calling(gateway.port) as caller:
            await caller.post(chat_body(**body))
            reply = await caller.reply()
        record = json.dumps([str(each) for each in gateway.records])
    head = "\n".join(f"{name}: {value}" for name, value in reply.headers.items())
    return head.encode() + b"\n\n" + reply.body + record.encode()


def assert_clean(shown: bytes) -> None:
    for form in FORMS.values():
        assert form.encode() not in shown
    assert b"ab-12345678" not in shown


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500])
async def test_errors(form: str, status: int) -> None:
    body = b'{"error":{"message":"no %b","code":"x"}}' % FORMS[form].encode()
    # A key that is asked too often rests for seconds before it is tried again.
    retry = "max_attempts = 1" if status == 429 else ""
    for stream in (False, True):
        assert_clean(await answer([(0.0, whole(status, body))], retry, stream=stream))


@pytest.mark.slow
async def test_errors_of_several_attempts() -> None:
    body = b'{"error":{"message":"no %b","code":"x"}}' % FORMS["slash"].encode()
    assert_clean(await answer([(0.0, whole(429, body))]))


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "undeclared"])
async def test_compressed_errors(encoding: str) -> None:
    body = f'{{"error":{{"message":"no {FORMS["hyphen"]} or {KEY}"}}}}'.encode()
    packed = zlib.compress(body) if encoding == "deflate" else gzip.compress(body)
    headers = [] if encoding == "undeclared" else [f"content-encoding: {encoding}"]
    assert_clean(await answer([(0.0, whole(400, packed, *headers))]))


@pytest.mark.parametrize("name", ["x-request-id", "openai-organization", "openai-version"])
@pytest.mark.parametrize("form", FORMS)
async def test_headers(name: str, form: str) -> None:
    header = f"{name}: {FORMS[form]}"
    for status in (200, 400):
        shown = await answer([(0.0, whole(status, completion(), header))])
        assert_clean(shown)
    body = framed(event({"content": "Hi"}) + event({}, "stop") + DONE)
    head = stream_head().replace(b"\r\n\r\n", b"\r\n" + header.encode() + b"\r\n\r\n", 1)
    assert_clean(await answer([(0.0, head), (0.0, body), (0.0, LAST_CHUNK)], stream=True))


@pytest.mark.parametrize("form", FORMS)
async def test_streams(form: str) -> None:
    spelled = FORMS[form].encode()
    said = event({"content": "Hi"}).replace(b'"Hi"', b'"Hi ' + spelled + b'"')
    for parts in (
        [b": for " + spelled + b"\n\n", event({"content": "Hi"})],
        [event({"content": "Hi"}), b": for " + spelled + b"\n\n"],
        [said],
        [event({"content": "Hi"}), b'data: {"error":{"message":"' + spelled + b'"}}\n\n'],
        [b'data: {"error":{"message":"' + spelled + b'"}}\n\n'],
    ):
        script: list[Step] = [(0.0, stream_head())]
        script += [(0.02, framed(each)) for each in parts]
        script += [(0.0, framed(event({}, "stop") + DONE)), (0.0, LAST_CHUNK)]
        assert_clean(await answer(script, stream=True))


@pytest.mark.parametrize("form", FORMS)
async def test_whole_answers(form: str) -> None:
    body = json.dumps(completion("say KEY")).replace("say KEY", FORMS[form]).encode()
    shown = await answer([(0.0, whole(200, body))])
    assert b'"content": "***"' in shown
    assert_clean(shown)


FAMILY: Final = (
    '[[models]]\nname = "fam/*"\nroutes = [{ provider = "p0", model = "*" }]\n'
    '[[models]]\nname = "pre*"\nroutes = [{ provider = "p0", model = "*" }]\n'
)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "name", ["fam/x ", "fam/ x", " fam/x", "fam/x\t", "fam/x\xa0", "fam/x\n", "pre x", "fam/\u2003"]
)
async def test_names_with_blanks_ask_no_provider(name: str, stream: bool) -> None:
    async with (
        serving([(0.0, whole(200, completion()))]) as provider,
        in_process(config(provider.port, models=FAMILY)) as gateway,
        calling(gateway.port) as caller,
    ):
        await caller.post(chat_body(model=name, stream=stream))
        reply = await caller.reply()
        assert reply.status in (400, 404)
        assert reply.status == 400 or not name.isprintable() or name.startswith(" ")
        assert provider.asked == []


async def test_names_with_blanks_inside_are_names() -> None:
    async with (
        serving([(0.0, whole(200, completion()))]) as provider,
        in_process(config(provider.port, models=FAMILY)) as gateway,
        calling(gateway.port) as caller,
    ):
        await caller.post(chat_body(model="fam/My Model"))
        reply = await caller.reply()
    assert (reply.status, reply.headers["x-gateway-model"]) == (200, "My Model")
