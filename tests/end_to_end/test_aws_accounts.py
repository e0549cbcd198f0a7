"""Bedrock by credentials that expire: of a role, a container, a profile; found by botocore."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import pytest
import trio

from gateway.config.load import parse
from gateway.errors import ConfigError
from gateway.process import credentials

from ..serve.processes import eventually
from .caller import calling, chat_body
from .harness import in_process
from .provider import Asked, serving
from .test_bedrock import ANSWER, config
from .wire import Script, whole

ROLE: Final = 'role_arn = "arn:aws:iam::123456789012:role/gateway"\n'
STATIC: Final = 'access_key_id = "AKIDEXAMPLE"\nsecret_access_key = "wJalrXUtnFEMI/K7MDENG"\n'
STS_XML: Final = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleResult><Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{id}-secret\
</SecretAccessKey><SessionToken>{id}-token</SessionToken><Expiration>{end}</Expiration>
</Credentials></AssumeRoleResult></AssumeRoleResponse>"""


class Amazon(ThreadingHTTPServer):
    """A security token service and a container's endpoint, whose keys live for `seconds`."""

    daemon_threads = True

    def __init__(self, seconds: float, status: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seconds = seconds
        self.status = status
        self.asked: list[tuple[str, dict[str, list[str]]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, authorization: str, form: bytes) -> bytes:
        self.asked.append((authorization, parse_qs(form.decode())))
        key = f"ASIA{len(self.asked)}"
        moment = datetime.now(UTC) + timedelta(seconds=self.seconds)
        end = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        if form:
            return STS_XML.format(id=key, end=end).encode()
        found = {"AccessKeyId": key, "SecretAccessKey": "s", "Token": "t", "Expiration": end}
        return json.dumps(found).encode()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server: Any = self.server
        form = self.rfile.read(int(self.headers.get("content-length", 0)))
        data = server.answer(self.headers.get("authorization", ""), form)
        self.send_response(server.status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def amazon(seconds: float = 3600, status: int = 200) -> Iterator[Amazon]:
    server = Amazon(seconds, status)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever credentials this machine has, they are none of these tests'."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def answer(_: Asked) -> Script:
    return [(0.0, whole(200, ANSWER))]


def key_of(asked: Asked) -> str:
    return asked.headers["authorization"].partition("Credential=")[2].partition("/")[0]


@pytest.mark.slow
async def test_a_role_is_assumed_and_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    with amazon(seconds=4) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", aws.url)
        keys = STATIC + ROLE + 'external_id = "of-ours"\n'
        async with (
            serving(answer) as provider,
            in_process(config(provider.port, keys)) as gateway,
            calling(gateway.port) as caller,
        ):
            await caller.post(chat_body())
            assert (await caller.reply()).status == 200
            first = provider.asked[0]
            assert key_of(first) == "ASIA1"
            assert first.headers["x-amz-security-token"] == "ASIA1-token"
            # Ahead of its end, though nobody asks.
            await eventually(lambda: len(aws.asked) > 1, 20)
            await trio.sleep(0.2)
            await caller.post(chat_body())
            assert (await caller.reply()).status == 200
            assert key_of(provider.asked[1]) != "ASIA1"
        authorization, form = aws.asked[0]
        assert "Credential=AKIDEXAMPLE/" in authorization
        assert form["Action"] == ["AssumeRole"]
        assert form["RoleArn"] == ["arn:aws:iam::123456789012:role/gateway"]
        assert form["ExternalId"] == ["of-ours"]


async def test_a_containers_role_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    with amazon() as aws:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/task")
        async with (
            serving(answer) as provider,
            in_process(config(provider.port, 'profile = "default"\n')) as gateway,
            calling(gateway.port) as caller,
        ):
            await caller.post(chat_body())
            assert (await caller.reply()).status == 200
            assert key_of(provider.asked[0]) == "ASIA1"
            assert provider.asked[0].headers["x-amz-security-token"] == "t"


async def test_a_profile_signs(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = AKOTHER\naws_secret_access_key = s\n"
        "[ours]\naws_access_key_id = AKOURS\naws_secret_access_key = s\n"
    )
    async with (
        serving(answer) as provider,
        in_process(config(provider.port, 'profile = "ours"\n')) as gateway,
        calling(gateway.port) as caller,
    ):
        await caller.post(chat_body())
        assert (await caller.reply()).status == 200
        assert key_of(provider.asked[0]) == "AKOURS"
        assert "x-amz-security-token" not in provider.asked[0].headers


@pytest.mark.parametrize(
    ("keys", "status"),
    [
        pytest.param('profile = "default"\n', 200, id="nothing there"),
        pytest.param('profile = "nobody"\n', 200, id="no such profile"),
        pytest.param(STATIC + ROLE, 403, id="refused"),
    ],
)
async def test_without_credentials_nothing_is_asked(
    keys: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How long a request waits for the first credential, which never comes.
    monkeypatch.setattr(credentials, "PATIENCE", 0.2)
    with amazon(status=status) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", aws.url)
        async with (
            serving(answer) as provider,
            in_process(config(provider.port, keys)) as gateway,
            calling(gateway.port) as caller,
        ):
            began = time.monotonic()
            await caller.post(chat_body())
            reply = await caller.reply()
            assert reply.status == 502, reply
            assert "auth_failed" in reply.error["message"]
            assert time.monotonic() - began < 30
            assert provider.asked == []


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ('profile = "a"\n' + STATIC, "profile: has an access key of its own"),
        ('profile = "a"\napi_key = "sk-bedrock-1"\n', "profile: signs the calls"),
        ('role_arn = "gateway"\n', "role_arn: is no role's"),
        ('external_id = "x"\n', "external_id: goes with role_arn"),
    ],
)
def test_what_does_not_go_together(keys: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse(config(1, keys), "test", {})
