"""boto3 as it is: requests signed with a token's pair, checked by the gateway."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from unittest import mock

import botocore.auth
import pytest
import trio
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from gateway.core.aws_signature import secret_of
from gateway.proxy.traffic.refused_keys import FREE

from .caller import Reply, calling
from .harness import in_process

ROOT: Final = "0123456789abcdef0123456789abcdef"
KEY_ID: Final = "GWAKEXAMPLE123456789"
LIMITED_ID: Final = "GWAKLIMITED123456789"
OLD_ID: Final = "GWAKOLD1234567890123"
DEMO: Final = (
    '[server]\nbind = "127.0.0.1:0"\n{server}[store]\nurl = ""\n'
    '[providers.demo]\nkind = "demo"\ntoken_interval = 0\n'
    '[[models]]\nname = "m"\nroutes = [{{ provider = "demo", model = "x" }}]\n'
    '[[models]]\nname = "n:1"\nalias = "m"\n'
)
CONFIG: Final = (
    DEMO.format(server=f'aws_secret = "{ROOT}"\n')
    + f'[[tokens]]\nname = "t"\nkey = "sk-good-key"\naws_access_key_id = "{KEY_ID}"\n'
    + f'[[tokens]]\nname = "limited"\nkey = "sk-good-key-2"\naws_access_key_id = "{LIMITED_ID}"\n'
    + 'models = ["n:1"]\nmax_concurrent = 1\n'
    + f'[[tokens]]\nname = "old"\nkey = "sk-good-key-3"\naws_access_key_id = "{OLD_ID}"\n'
    + "expires_at = 2020-01-01T00:00:00Z\n"
)
SCRIPT: Final = """
import boto3, json, os
from botocore.exceptions import ClientError
options = {'endpoint_url': os.environ['URL'], 'region_name': 'eu-west-1'}
hi = [{'role': 'user', 'content': [{'text': 'Hi \\u00e4'}]}]
large = [{'role': 'user', 'content': [{'text': 'x' * 300_000}]}]
def seen():
    found = {}
    def tell(name, ask):
        try:
            found[name] = ask()
        except ClientError as error:
            found[name] = error.response['Error']['Code']
    def streamed(model):
        events = client.converse_stream(modelId=model, messages=hi)['stream']
        return [next(iter(each)) for each in events][-1]
    client = boto3.client('bedrock-runtime', **options)
    tell('whole', lambda: client.converse(modelId='m', messages=hi)['stopReason'])
    tell('stream', lambda: streamed('n:1'))
    tell('large', lambda: client.converse(modelId='m', messages=large)['stopReason'])
    models = boto3.client('bedrock', **options)
    tell('models', lambda: sorted(
        each['modelId'] for each in models.list_foundation_models()['modelSummaries']))
    return found
told = []
for key_id, secret in json.loads(os.environ['KEYS']):
    # A session reads them once.
    os.environ.update(AWS_ACCESS_KEY_ID=key_id, AWS_SECRET_ACCESS_KEY=secret)
    boto3.setup_default_session()
    told.append(seen())
print(json.dumps(told))
"""


async def run_boto(port: int, *keys: tuple[str, str]) -> list[Any]:
    """Return what boto3 sees with each of the keys, which stand in its environment."""
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "URL": f"http://127.0.0.1:{port}",
        "KEYS": json.dumps(keys),
        "AWS_MAX_ATTEMPTS": "1",
    }
    done = await trio.run_process(
        [sys.executable, "-c", SCRIPT],
        env=environ,
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    found: list[Any] = json.loads(done.stdout)
    return found


WRONG: Final = dict.fromkeys(("whole", "stream", "large", "models"), "UnrecognizedClientException")


@pytest.mark.slow
async def test_boto3_needs_nothing_but_the_address() -> None:
    async with in_process(CONFIG) as gateway:
        found = await run_boto(
            gateway.port,
            (KEY_ID, secret_of(ROOT, KEY_ID)),
            (LIMITED_ID, secret_of(ROOT, LIMITED_ID)),
            (KEY_ID, secret_of(ROOT, LIMITED_ID)),
            ("GWAKNOBODY1234567890", secret_of(ROOT, "GWAKNOBODY1234567890")),
            (OLD_ID, secret_of(ROOT, OLD_ID)),
        )
        allowed, limited, wrong_secret, no_such_id, expired = found
        good = {"whole": "end_turn", "stream": "metadata", "large": "end_turn"}
        assert allowed == {**good, "models": ["m", "n:1"]}
        denied = dict.fromkeys(("whole", "large"), "AccessDeniedException")
        assert limited == {**denied, "stream": "metadata", "models": ["n:1"]}
        assert wrong_secret == WRONG
        assert no_such_id == WRONG
        assert expired == WRONG


@pytest.mark.slow
async def test_without_tokens_any_signature_will_do() -> None:
    async with in_process(DEMO.format(server="")) as gateway:
        (found,) = await run_boto(gateway.port, ("AKIDANYBODY123456789", "x"))
        assert found["whole"] == "end_turn"
        assert found["models"] == ["m", "n:1"]


BODY: Final = b'{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}'


def request(
    port: int,
    path: str = "/model/m/converse",
    *,
    ago: float = 0.0,
    key_id: str = KEY_ID,
    sent: bytes | None = None,
    framing: str = "length",
    body: bytes = BODY,
) -> bytes:
    """Return a signed request; `sent` is what goes out in place of what was signed."""
    signed: Any = AWSRequest("POST", f"http://127.0.0.1:{port}{path}", data=body)
    moment = datetime.now(UTC) - timedelta(seconds=ago)
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=moment):
        SigV4Auth(Credentials(key_id, secret_of(ROOT, key_id)), "bedrock", "eu-west-1").add_auth(
            signed
        )
    sent = body if sent is None else sent
    lines = [f"POST {path} HTTP/1.1", f"host: 127.0.0.1:{port}"]
    lines += [f"{name}: {value}" for name, value in signed.headers.items()]
    if framing == "length":
        lines.append(f"content-length: {len(sent)}")
        data = sent
    else:
        lines.append("transfer-encoding: chunked")
        data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(sent), sent)
    return "\r\n".join([*lines, "", ""]).encode() + data


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({}, 200, ""),
        ({"framing": "chunks"}, 200, ""),
        ({"ago": 280}, 200, ""),
        ({"ago": 320}, 401, "five minutes"),
        ({"ago": -320}, 401, "five minutes"),
        ({"sent": BODY.replace(b"Hi", b"Ho")}, 401, "signature"),
        ({"sent": BODY.replace(b"Hi", b"Ho"), "framing": "chunks"}, 401, "signature"),
        ({"sent": b""}, 401, "signature"),
        ({"key_id": "GWAKNOBODY1234567890"}, 401, "incorrect API key"),
        # A signature says nothing where keys are shown.
        ({"path": "/v1/chat/completions"}, 401, "did not provide an API key"),
    ],
)
@pytest.mark.parametrize("pieces", [1, 40])
async def test_what_is_signed_is_what_comes(
    change: dict[str, Any], status: int, message: str, pieces: int
) -> None:
    async with in_process(CONFIG) as gateway, calling(gateway.port) as caller:
        data = request(gateway.port, **change)
        size = -(-len(data) // pieces)
        for start in range(0, len(data), size):
            await caller.stream.send_all(data[start : start + size])
            if pieces > 1:
                await trio.testing.wait_all_tasks_blocked()
        reply = await caller.reply()
        assert reply.status == status, reply
        assert message in reply.body.decode()
        if status == 200:
            assert (await gateway.record()).token == "t"


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_body_that_nobody_reads_is_no_way_past_the_check(framing: str, method: str) -> None:
    async with in_process(CONFIG) as gateway, calling(gateway.port) as caller:
        made = request(gateway.port, "/foundation-models", framing=framing)
        await caller.stream.send_all(made.replace(b"POST ", f"{method} ".encode(), 1))
        assert await caller.head() == 401


async def test_the_secret_is_a_key_and_its_id_is_none() -> None:
    async with in_process(CONFIG) as gateway:
        for key, status in ((secret_of(ROOT, KEY_ID), 200), (KEY_ID, 401), (ROOT, 401)):
            async with calling(gateway.port) as caller:
                head = f"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n"
                await caller.stream.send_all(head.encode())
                assert (await caller.reply()).status == status


async def test_a_wrong_signature_is_nobodys() -> None:
    """The name of a pair is no secret: whoever says it gets nothing of its token's."""
    limited = CONFIG.replace('name = "t"\n', 'name = "t"\nrpm = 50\nmax_concurrent = 1\n', 1)
    wrong = BODY.replace(b"Hi", b"Ho")
    async with in_process(limited) as gateway:

        async def asked(**change: Any) -> Reply:
            async with calling(gateway.port) as caller:
                await caller.stream.send_all(request(gateway.port, **change))
                return await caller.reply()

        # Three that never end would have all the room of a token with one place.
        slow = [await trio.open_tcp_stream("127.0.0.1", gateway.port) for _ in range(3)]
        for each in slow:
            data = request(gateway.port, body=b"x" * 100_000)
            await each.send_all(data[:50_000])
        for count in (1, 2):
            reply = await asked(sent=wrong)
            assert reply.status == 401
            assert not [name for name in reply.headers if "ratelimit" in name or "budget" in name]
            record = await gateway.record(count)
            assert (record.token, record.error_code) == (None, "invalid_signature")
        good = await asked()
        assert good.status == 200
        assert "x-ratelimit-limit-requests" in good.headers
        # An hour-old signature is refused before there is a record of it, and counts as well.
        lines = request(gateway.port, ago=3600, body=b"").decode().split("\r\n")
        pairs = [
            each.split(": ", 1) for each in lines if each.lower().startswith(("auth", "x-amz"))
        ]
        old = [(name.lower(), value) for name, value in pairs]
        async with calling(gateway.port) as caller:
            for _ in range(FREE):
                status = (await caller.get("/foundation-models", headers=old)).status
        assert status == 429
        assert (await asked()).status == 200
        for each in slow:
            await each.aclose()
