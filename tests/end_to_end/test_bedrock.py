"""Bedrock behind the gateway over TCP: signed calls, frames, refusals, and callers who leave."""

from __future__ import annotations

import gzip
import json
import os
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
import trio
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from gateway.config.load import parse
from gateway.core.dialects.bedrock_converse.frames import exception_frame
from gateway.core.records.record import EndReason
from gateway.errors import ConfigError
from gateway.providers.kind import Place
from gateway.providers.kinds.bedrock import KIND, BedrockProvider
from gateway.providers.model_list import read_models

from ..core.dialects.bedrock_converse.frames import HELLO, STARTED, stream_of, text
from .caller import calling, chat_body
from .harness import in_process
from .provider import Asked, serving
from .wire import (
    DONE,
    RESET,
    STALL,
    Script,
    completion,
    event,
    framed,
    stream_head,
    streamed,
    usage_event,
    whole,
)

MODEL: Final = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
KEY: Final = 'access_key_id = "AKIDEXAMPLE"\nsecret_access_key = "wJalrXUtnFEMI/K7MDENG"\n'
HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\n"
    b"x-amzn-requestid: r-1\r\ntransfer-encoding: chunked\r\n\r\n"
)
ANSWER: Final = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15},
    "metrics": {"latencyMs": 7},
}


def config(port: int, keys: str = KEY) -> str:
    return (
        '[server]\nbind = "127.0.0.1:0"\n[store]\nurl = ""\n[overload]\nlag = 0\n'
        "[retry]\nbase = 0.01\ncap = 0.02\n"
        f'[providers.aws]\nkind = "bedrock"\nregion = "eu-west-1"\n'
        f'base_url = "http://127.0.0.1:{port}"\n{keys}'
        f'[[models]]\nname = "m"\nroutes = [{{ provider = "aws", model = "{MODEL}", '
        "input_price = 1, output_price = 2 }]\n"
    )


def streaming(*frames: bytes) -> Script:
    return [(0.0, HEAD), *((0.0, framed(each)) for each in frames), (0.0, b"0\r\n\r\n")]


def signed_rightly(asked: Asked, port: int, token: str | None = None) -> bool:
    """Say whether botocore would sign the call that came in the same way."""
    parts = dict(
        each.strip().split("=", 1)
        for each in asked.headers["authorization"].removeprefix("AWS4-HMAC-SHA256 ").split(",")
    )
    names = [each for each in parts["SignedHeaders"].split(";") if each != "host"]
    request = AWSRequest(
        method=asked.method,
        url=f"http://127.0.0.1:{port}{asked.target}",
        data=asked.body,
        headers={name: asked.headers[name] for name in names},
    )
    request.context["timestamp"] = asked.headers["x-amz-date"]
    auth = SigV4Auth(
        Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", token), "bedrock", "eu-west-1"
    )
    canonical = auth.canonical_request(request)
    right = auth.signature(auth.string_to_sign(request, canonical), request)
    return bool(parts["Signature"] == right and "host" in parts["SignedHeaders"])


async def test_calls_are_signed_and_streams_are_read() -> None:
    def answer(asked: Asked) -> Script:
        if asked.target.endswith("/converse-stream"):
            return streaming(*(stream_of(each) for each in HELLO))
        return [(0.0, whole(200, ANSWER))]

    async with (
        serving(answer) as provider,
        in_process(config(provider.port)) as gateway,
        calling(gateway.port) as caller,
    ):
        await caller.post(chat_body(stream=True, stream_options={"include_usage": True}))
        reply = await caller.reply()
        assert reply.status == 200
        assert reply.events[-1] == b"data: [DONE]"
        said = [json.loads(each[6:]) for each in reply.events[:-1]]
        deltas = [each["choices"][0]["delta"] for each in said if each["choices"]]
        assert "".join(each.get("content") or "" for each in deltas) == "Hello"
        assert said[-1]["usage"]["total_tokens"] == 15
        await caller.post(chat_body())
        reply = await caller.reply()
        assert reply.json["choices"][0]["message"]["content"] == "Hello"
        assert {each["model"] for each in (*said, reply.json)} == {"m"}
        record = await gateway.record(2)
        assert (record.input_tokens, record.output_tokens) == (10, 5)
        assert record.cost_nano_usd == 20_000
        quoted = MODEL.replace(":", "%3A")
        targets = [each.target for each in provider.asked]
        assert targets == [f"/model/{quoted}/converse-stream", f"/model/{quoted}/converse"]
        for asked in provider.asked:
            assert signed_rightly(asked, provider.port)
            assert asked.json["messages"] == [{"role": "user", "content": [{"text": "Hi"}]}]
            assert not asked.json.keys() & {"modelId", "stream", "model"}


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        (KEY + 'session_token = "TOKEN"\n', "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"),
        ('api_key = "bedrock-api-key-x"\n', "Bearer bedrock-api-key-x"),
    ],
)
async def test_sessions_and_keys_of_bedrock(keys: str, shown: str) -> None:
    async with (
        serving(lambda _: [(0.0, whole(200, ANSWER))]) as provider,
        in_process(config(provider.port, keys)) as gateway,
        calling(gateway.port) as caller,
    ):
        await caller.post(chat_body())
        assert (await caller.reply()).status == 200
        (asked,) = provider.asked
        assert asked.headers["authorization"].startswith(shown)
        if "TOKEN" in keys:
            assert asked.headers["x-amz-security-token"] == "TOKEN"
            assert signed_rightly(asked, provider.port, "TOKEN")


REFUSALS: Final[list[tuple[int, str, str, int]]] = [
    (400, "ValidationException", "The text field in the ContentBlock object is blank.", 400),
    (400, "ValidationException", "Input is too long for requested model.", 400),
    (404, "ResourceNotFoundException", "Could not resolve the foundation model", 404),
]


@pytest.mark.parametrize(("status", "kind", "message", "told"), REFUSALS)
async def test_refusals(status: int, kind: str, message: str, told: int) -> None:
    answer = whole(status, {"message": message}, f"x-amzn-errortype: {kind}")
    async with (
        serving(lambda _: [(0.0, answer)]) as provider,
        in_process(config(provider.port)) as gateway,
        calling(gateway.port) as caller,
    ):
        await caller.post(chat_body())
        reply = await caller.reply()
        assert reply.status == told
        assert message in reply.error["message"]
        assert len(provider.asked) == 1


async def test_a_throttled_call_is_made_again() -> None:
    script: list[bytes] = [
        whole(429, {"message": "Too many requests"}, "x-amzn-errortype: ThrottlingException"),
        whole(503, {"message": "Bedrock is busy"}, "x-amzn-errortype: ServiceUnavailableException"),
        whole(200, ANSWER),
    ]
    async with (
        serving(lambda _: [(0.0, script.pop(0))]) as provider,
        in_process(config(provider.port)) as gateway,
        calling(gateway.port) as caller,
    ):
        await caller.post(chat_body())
        assert (await caller.reply()).status == 200
        # Each attempt has a signature of its own.
        assert len(provider.asked) == 3
        assert all(signed_rightly(each, provider.port) for each in provider.asked)


async def test_an_exception_at_the_beginning_is_tried_again_and_one_later_is_told() -> None:
    broken = exception_frame("modelStreamErrorException", b'{"message":"it fell over"}')
    scripts = [streaming(broken), streaming(stream_of(STARTED, text("Hel")), broken)]
    async with (
        serving(lambda _: scripts.pop(0)) as provider,
        in_process(config(provider.port)) as gateway,
        calling(gateway.port) as caller,
    ):
        await caller.post(chat_body(stream=True))
        reply = await caller.reply()
        assert len(provider.asked) == 2
        last = json.loads(reply.events[-1][6:])
        assert "it fell over" in last["error"]["message"]
        record = await gateway.record()
        assert record.end_reason is EndReason.UPSTREAM_BROKE


async def test_a_caller_who_leaves_ends_the_call() -> None:
    def answer(_: Asked) -> Script:
        return [(0.0, HEAD), (0.0, framed(stream_of(STARTED, text("Hel")))), (0.0, STALL)]

    async with serving(answer) as provider, in_process(config(provider.port)) as gateway:
        async with calling(gateway.port) as caller:
            await caller.post(chat_body(stream=True))
            await provider.wait_asked(1)
            await trio.sleep(0.05)
        with trio.fail_after(30):
            await provider.asked[0].peer_left.wait()
        await gateway.settled()
        await provider.wait_open(0)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('kind = "bedrock"', "region"),
        ('kind = "bedrock"\nregion = "Ireland"', "us-east-1"),
        ('kind = "bedrock"\nregion = "eu-west-1"\naccess_key_id = "A"', "secret_access_key"),
        ('kind = "bedrock"\nregion = "eu-west-1"\nsession_token = "A"', "access_key_id"),
        (
            'kind = "bedrock"\nregion = "eu-west-1"\napi_key = "sk-12345678"\n'
            'access_key_id = "A"\nsecret_access_key = "B"',
            "keep one",
        ),
    ],
)
def test_tables_that_cannot_be(table: str, says: str) -> None:
    model = '[[models]]\nname = "m"\nroutes = [{ provider = "aws", model = "x" }]\n'
    with pytest.raises(ConfigError, match=says):
        parse(f"[providers.aws]\n{table}\n{model}", "test", {})


def test_a_preset_with_nothing_but_a_key() -> None:
    model = '[[models]]\nname = "m"\nroutes = [{ provider = "bedrock", model = "x" }]\n'
    keys = {"AWS_BEARER_TOKEN_BEDROCK": "sk-12345678", "AWS_REGION": "eu-west-3"}
    found = parse(f"[providers.bedrock]\n{model}", "test", keys).providers["bedrock"]
    assert (found.kind, found.api_key) == ("bedrock", "sk-12345678")
    assert KIND.address(found) == "https://bedrock-runtime.eu-west-3.amazonaws.com"
    signed = parse(f"[providers.bedrock]\n{KEY}{model}", "test", keys).providers["bedrock"]
    assert signed.api_key is None
    call = KIND.models_call("bedrock", found, Place(KIND.address(found) or "", b"g"))
    assert (call.origin.host, call.target) == (
        "bedrock.eu-west-3.amazonaws.com",
        b"/foundation-models",
    )
    body = b'{"modelSummaries":[{"modelId":"a.b","modelArn":"arn"}]}'
    assert read_models(body) == ["a.b"]


@pytest.mark.parametrize(
    ("region", "address"),
    [
        ("us-east-1", "https://bedrock-runtime.us-east-1.amazonaws.com"),
        ("us-gov-west-1", "https://bedrock-runtime.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_addresses(region: str, address: str) -> None:
    provider: Any = BedrockProvider(kind="bedrock", region=region)
    assert KIND.address(provider) == address
    assert [*KIND.problems(provider)] == []


# Callers who speak Converse...

CHAT: Final = (
    '[server]\nbind = "127.0.0.1:0"\n[store]\nurl = ""\n[overload]\nlag = 0\n'
    '[providers.p]\nkind = "openai"\nbase_url = "http://127.0.0.1:{port}/v1"\napi_key = "sk-p"\n'
    '[[models]]\nname = "m"\nroutes = [{{ provider = "p", model = "real" }}]\n'
    '[[tokens]]\nname = "t"\nkey = "sk-good-key"\n'
)
TOOL: Final = {
    "toolSpec": {
        "name": "weather",
        "inputSchema": {"json": {"type": "object", "properties": {"at": {"type": "string"}}}},
    }
}


# boto3 shows a bearer token by TLS alone, so here it is told to add the header itself.
BOTO: Final = """
import boto3, botocore, json, os
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
client = boto3.client('bedrock-runtime', endpoint_url=os.environ['URL'], region_name='us-east-1',
    config=Config(signature_version=botocore.UNSIGNED, retries={'max_attempts': 1}))
def show(request, **_):
    request.headers['Authorization'] = 'Bearer ' + os.environ['KEY']
client.meta.events.register('before-send.bedrock-runtime.*', show)
hi = [{'role': 'user', 'content': [{'text': 'Hi'}]}]
"""


async def run_boto(port: int, script: str, key: str = "sk-good-key") -> Any:
    """Return what `script` prints, which has a `client` of boto3 for the gateway."""
    environ = {**os.environ, "URL": f"http://127.0.0.1:{port}", "KEY": key}
    done = await trio.run_process(
        [sys.executable, "-c", BOTO + script],
        env=environ,
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


EVERYTHING: Final = f"""
whole = client.converse(modelId='m', messages=hi, system=[{{'text': 'S'}}],
    inferenceConfig={{'maxTokens': 9}}, toolConfig={{'tools': [{TOOL!r}]}})
events = [*client.converse_stream(modelId='m', messages=hi)['stream']]
print(json.dumps([whole['output'], whole['stopReason'], whole['usage'], events]))
"""


@pytest.mark.slow
async def test_boto3_as_it_is() -> None:
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"at":"x"}'},
    }

    def answer(asked: Asked) -> Script:
        if asked.json.get("stream"):
            said = [event({"content": "Hel"}), event({"content": "lo"}, "stop")]
            return streamed([*said, usage_event(), DONE])
        found = completion("")
        found["choices"][0]["message"]["tool_calls"] = [call]
        found["choices"][0]["finish_reason"] = "tool_calls"
        return [(0.0, whole(200, found))]

    async with (
        serving(answer) as provider,
        in_process(CHAT.format(port=provider.port)) as gateway,
    ):
        output, reason, usage, events = await run_boto(gateway.port, EVERYTHING)
        (block,) = output["message"]["content"]
        assert block["toolUse"]["input"] == {"at": "x"}
        assert reason == "tool_use"
        assert usage["totalTokens"] == 29
        deltas = [
            each["contentBlockDelta"]["delta"] for each in events if "contentBlockDelta" in each
        ]
        assert "".join(each["text"] for each in deltas) == "Hello"
        assert [next(iter(each)) for each in events][-2:] == ["messageStop", "metadata"]
        asked = provider.asked[0].json
        assert asked["messages"][0] == {"role": "system", "content": "S"}
        assert asked["tools"][0]["function"]["name"] == "weather"
        assert provider.asked[0].headers["authorization"] == "Bearer sk-p"
        first = await gateway.record()
        assert (first.model, first.operation, first.token) == ("m", "converse", "t")


ERRORS: Final = """
found = []
video = [{'video': {'format': 'mp4', 'source': {'bytes': b'x'}}}]
for model, messages in (('nothing', hi), ('m', [{'role': 'user', 'content': video}]), ('m', hi)):
    try:
        client.converse(modelId=model, messages=messages)
    except ClientError as error:
        status = error.response['ResponseMetadata']['HTTPStatusCode']
        found.append([error.response['Error'], status])
print(json.dumps(found))
"""
WRONG_KEY: Final = """
try:
    client.converse(modelId='m', messages=hi)
except ClientError as error:
    print(json.dumps(error.response['Error']['Code']))
"""


@pytest.mark.slow
async def test_boto3_raises_what_it_knows() -> None:
    busy = whole(429, {"error": {"message": "slow down"}})
    async with (
        serving(lambda _: [(0.0, busy)]) as provider,
        in_process(CHAT.format(port=provider.port)) as gateway,
    ):
        unknown, video, limited = await run_boto(gateway.port, ERRORS)
        assert unknown[0]["Code"] == "ResourceNotFoundException"
        assert (video[0]["Code"], video[1]) == ("ValidationException", 400)
        assert "video" in video[0]["Message"]
        assert limited[0]["Code"] in ("ThrottlingException", "ServiceUnavailableException")
        wrong = await run_boto(gateway.port, WRONG_KEY, "sk-bad-key")
        assert wrong == "UnrecognizedClientException"


BROKEN: Final = """
text = ''
try:
    for event in client.converse_stream(modelId='m', messages=hi)['stream']:
        text += event.get('contentBlockDelta', {}).get('delta', {}).get('text', '')
except EventStreamError as error:
    print(json.dumps([text, error.response['Error']]))
"""


@pytest.mark.slow
async def test_boto3_hears_that_a_stream_broke() -> None:
    def answer(_: Asked) -> Script:
        return [(0.0, stream_head()), (0.0, framed(event({"content": "Hel"}))), (0.1, RESET)]

    async with (
        serving(answer) as provider,
        in_process(CHAT.format(port=provider.port)) as gateway,
    ):
        text, error = await run_boto(gateway.port, BROKEN)
        assert text == "Hel"
        assert error["Code"] == "modelStreamErrorException"
        assert (await gateway.record()).end_reason is EndReason.UPSTREAM_BROKE


async def test_the_same_api_on_both_sides_to_the_byte() -> None:
    body = b'{ "messages": [{"role":"user","content":[{"text":"Hi"}]}], "newMember": {"n": 1.50} }'
    stream = [stream_of(each) for each in HELLO]
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.x"

    def answer(asked: Asked) -> Script:
        return streaming(*stream) if "stream" in asked.target else [(0.0, whole(200, ANSWER))]

    async with (
        serving(answer) as provider,
        in_process(config(provider.port).replace('name = "m"', f'name = "{arn}"')) as gateway,
        calling(gateway.port) as caller,
    ):
        for model in (quote(arn, safe=""), arn):
            await caller.post(body, target=f"/model/{model}/converse-stream")
            reply = await caller.reply()
            assert reply.status == 200, reply.body
            assert reply.headers["content-type"] == "application/vnd.amazon.eventstream"
            assert reply.body == b"".join(stream)
            assert provider.asked[-1].body == body
            await caller.post(body, target=f"/model/{model}/converse")
            assert (await caller.reply()).json == ANSWER
            assert provider.asked[-1].body == body


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"{", 400, "ValidationException"),
        (b'{"messages":[],"messages":[]}', 400, "ValidationException"),
        (b'{"Messages":[]}', 400, "ValidationException"),
        (
            b'{"messages":[],"inferenceConfig":{"maxTokens":1,"MaxTokens":2}}',
            400,
            "ValidationException",
        ),
        (b'{"messages":3}', 400, "ValidationException"),
    ],
)
async def test_bad_requests(body: bytes, status: int, kind: str) -> None:
    async with (
        serving(lambda _: [(0.0, whole(200, completion()))]) as provider,
        in_process(CHAT.format(port=provider.port)) as gateway,
        calling(gateway.port) as caller,
    ):
        await caller.post(body, key="sk-good-key", target="/model/m/converse")
        reply = await caller.reply()
        assert (reply.status, reply.headers["x-amzn-errortype"]) == (status, kind)
        assert reply.json["message"]
        assert provider.asked == []


async def test_the_list_of_models() -> None:
    async with in_process(CHAT.format(port=1)) as gateway, calling(gateway.port) as caller:
        reply = await caller.get("/foundation-models", key="sk-good-key")
        assert [each["modelId"] for each in reply.json["modelSummaries"]] == ["m"]


def logged(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in sorted(folder.rglob("*.jsonl.gz"))
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]


async def test_a_stream_in_the_debug_log_is_events(tmp_path: Path) -> None:
    folder = f'[debug_log]\nsample = 1.0\nfolder = "{tmp_path}"\n'
    broken = exception_frame("modelStreamErrorException", b'{"message":"it fell over"}')
    scripts = [
        streaming(*(stream_of(each) for each in HELLO)),
        streaming(stream_of(STARTED, text("Hel")), broken),
    ]
    async with serving(lambda _: scripts.pop(0)) as provider:
        async with (
            in_process(config(provider.port) + folder) as gateway,
            calling(gateway.port) as caller,
        ):
            for _ in range(2):
                await caller.post(
                    b'{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}',
                    target="/model/m/converse-stream",
                )
                await caller.reply()
        lines = logged(tmp_path)
        events = [(each["name"], each["data"]) for each in lines if each["kind"] == "event"]
        assert ("contentBlockDelta", '{"contentBlockIndex": 0, "delta": {"text": "Hel"}}') in events
        assert "modelStreamErrorException" in [name for name, _ in events]
        assert not [each for each in lines if each["kind"] == "body"]
