"""Azure and Vertex over real sockets: where calls go, and the tokens that they show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import trio
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.late import openai

from .caller import calling
from .harness import in_process
from .provider import Asked, serving, speaking
from .wire import Script, whole

SERVER = '[server]\nbind = "127.0.0.1:0"\n[store]\nurl = ""\n[overload]\nlag = 0\n'
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 5, "output_tokens": 2},
}
BODY = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


async def test_claude_on_vertex_with_a_service_account(tmp_path: Path) -> None:
    key = RSAKey.generate_key(2048)

    def cloud(asked: Asked) -> Script:
        if asked.target == "/token":
            return [(0.0, whole(200, {"access_token": "ya29.first", "expires_in": 3599}))]
        return [(0.0, whole(200, MESSAGE))]

    async with serving(cloud) as google:
        account = {
            "type": "service_account",
            "client_email": "a@p",
            "private_key_id": "k",
            "private_key": key.as_pem(private=True).decode(),
            "token_uri": f"http://127.0.0.1:{google.port}/token",
        }
        file = tmp_path / "account.json"
        file.write_text(json.dumps(account))
        text = (
            f'{SERVER}[providers.v]\nkind = "vertex"\nproject = "p"\nlocation = "us-east5"\n'
            f'base_url = "http://127.0.0.1:{google.port}"\ncredentials_file = "{file}"\n'
            '[[models]]\nname = "m"\nroutes = [{ provider = "v", model = "claude-x@1" }]\n'
        )
        async with in_process(text) as gateway, calling(gateway.port) as caller:
            await caller.post(json.dumps(BODY).encode(), target="/v1/messages")
            reply = await caller.reply()
            assert reply.status == 200
            assert json.loads(reply.body)["model"] == "m"
        token, call = google.asked
        form = parse_qs(token.body.decode())
        claims = jwt.decode(form["assertion"][0], key, algorithms=["RS256"]).claims
        assert (claims["iss"], claims["aud"]) == ("a@p", account["token_uri"])
        where = "/v1/projects/p/locations/us-east5/publishers/anthropic/models/claude-x@1"
        assert call.target == f"{where}:rawPredict"
        assert call.headers["authorization"] == "Bearer ya29.first"
        assert "anthropic-version" not in call.headers
        without = {name: value for name, value in BODY.items() if name != "model"}
        assert json.loads(call.body) == {**without, "anthropic_version": "vertex-2023-10-16"}


@pytest.mark.parametrize("version", ["", "2024-10-21"])
async def test_azure_with_a_managed_identity(version: str) -> None:
    def cloud(asked: Asked) -> Script:
        if asked.target.startswith("/metadata/"):
            return [(0.0, whole(200, {"access_token": "eyJ.first", "expires_in": "86399"}))]
        return speaking(asked)

    async with serving(cloud) as azure:
        base = f"http://127.0.0.1:{azure.port}"
        identity = f'{{ endpoint = "{base}/metadata/identity/oauth2/token" }}'
        text = (
            f'{SERVER}[providers.a]\nkind = "azure"\nbase_url = "{base}"\n'
            f'api_version = "{version}"\nmanaged_identity = {identity}\n'
            '[[models]]\nname = "m"\nroutes = [{ provider = "a", model = "my-gpt" }]\n'
        )
        async with in_process(text) as gateway, calling(gateway.port) as caller:
            await caller.post(json.dumps(BODY).encode())
            assert (await caller.reply()).status == 200
        token, call = azure.asked
        assert token.headers["metadata"] == "true"
        assert "resource=https%3A%2F%2Fcognitiveservices.azure.com" in token.target
        assert call.headers["authorization"] == "Bearer eyJ.first"
        assert call.target == (
            f"/openai/deployments/my-gpt/chat/completions?api-version={version}"
            if version
            else "/openai/v1/chat/completions"
        )


TOKEN = '[[tokens]]\nname = "t"\nkey = "sk-gateway-12345"\n'


async def test_a_client_of_azure_openai() -> None:
    """The SDK's class for it, by deployment and by the v1 API; the path names the model."""
    async with serving(speaking) as provider:
        text = (
            f'{SERVER}[providers.p]\nkind = "openai"\n'
            f'base_url = "http://127.0.0.1:{provider.port}/v1"\n'
            '[[models]]\nname = "m"\nroutes = [{ provider = "p", model = "real" }]\n' + TOKEN
        )
        async with in_process(text) as gateway:
            endpoint = f"http://127.0.0.1:{gateway.port}"

            def ask() -> list[str]:
                client = openai.AzureOpenAI(
                    azure_endpoint=endpoint, api_key="sk-gateway-12345", api_version="2024-10-21"
                )
                fixed = openai.AzureOpenAI(
                    azure_endpoint=endpoint,
                    azure_deployment="m",
                    api_key="sk-gateway-12345",
                    api_version="2024-10-21",
                )
                messages: Any = [{"role": "user", "content": "Hi"}]
                found = []
                for each, model in ((client, "m"), (fixed, "whatever")):
                    ask_for = each.chat.completions.create
                    answer = ask_for(model=model, messages=messages)
                    found.append(answer.model)
                    stream = each.chat.completions.create(
                        model=model, messages=messages, stream=True
                    )
                    found.append([*stream][-1].model)
                    each.close()
                return found

            assert await trio.to_thread.run_sync(ask) == ["m"] * 4
            async with calling(gateway.port) as caller:
                for target, body, key, status in (
                    ("/openai/deployments/m/chat/completions?api-version=x", {}, True, 200),
                    ("/openai/v1/chat/completions", {"model": "m"}, True, 200),
                    ("/openai/deployments/none/chat/completions", {"model": "m"}, True, 404),
                    ("/openai/deployments/m/chat/completions", {}, False, 401),
                    ("/openai/deployments/m", {}, True, 404),
                ):
                    data = json.dumps({"messages": [], **body}).encode()
                    shown = [("api-key", "sk-gateway-12345")] if key else []
                    await caller.post(data, target=target, headers=shown)
                    assert (await caller.reply()).status == status, target
        assert {json.loads(each.body)["model"] for each in provider.asked} == {"real"}
