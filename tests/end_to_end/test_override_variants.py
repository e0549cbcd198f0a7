"""Attempts to be served by another model, route or place, at every door: none reaches a provider.

What `test_overrides.py` has for some doors, and what other gateways go by: members, headers,
queries and fields of forms. One gateway serves all of them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import quote

import pytest

from .caller import Caller, Headers, Reply, calling
from .harness import in_process
from .provider import Provider, serving
from .wire import whole

pytestmark = pytest.mark.slow

KEY: Final = "sk-one-12345678"
PROVIDERS: Final = {
    "m": ("openai", "/v1", ""),
    "r": ("openai", "/v1", 'api = "responses"'),
    "c": ("anthropic", "", ""),
    "g": ("gemini", "", ""),
    "b": ("bedrock", "", 'region = "us-east-1"'),
}
TALK: Final = [{"role": "user", "content": "Hi"}]
PARTS: Final = {"role": "user", "parts": [{"text": "Hi"}]}
DOORS: Final[dict[str, dict[str, Any]]] = {
    "/v1/chat/completions": {"model": "m", "messages": TALK},
    "/v1/completions": {"model": "m", "prompt": "Hi"},
    "/v1/embeddings": {"model": "m", "input": "Hi"},
    "/v1/moderations": {"model": "m", "input": "Hi"},
    "/v1/rerank": {"model": "m", "query": "Hi", "documents": ["a"]},
    "/v1/images/generations": {"model": "m", "prompt": "Hi"},
    "/v1/audio/speech": {"model": "m", "input": "Hi", "voice": "a"},
    "/v1/responses": {"model": "r", "input": "Hi"},
    "/v1/messages": {"model": "c", "max_tokens": 9, "messages": TALK},
    "/v1/messages/count_tokens": {"model": "c", "messages": TALK},
    "/v1beta/models/g:generateContent": {"contents": [PARTS]},
    "/v1beta/models/g:streamGenerateContent": {"contents": [PARTS]},
    "/v1beta/models/g:countTokens": {"contents": [PARTS]},
    "/v1beta/models/g:embedContent": {"content": PARTS},
    "/v1beta/models/g:batchEmbedContents": {"requests": [{"content": PARTS}]},
    "/model/b/converse": {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]},
    "/openai/deployments/m/chat/completions?api-version=2024-10-21": {"messages": TALK},
    "/openai/v1/chat/completions": {"model": "m", "messages": TALK},
}
# What callers of Ollama's API say beside what it knows goes nowhere.
TRANSLATED: Final[dict[str, dict[str, Any]]] = {
    "/api/chat": {"model": "m", "messages": TALK, "stream": False},
    "/api/generate": {"model": "m", "prompt": "Hi", "stream": False},
    "/api/embed": {"model": "m", "input": "Hi"},
}
MEMBERS: Final[list[tuple[str, Any]]] = [
    ("models", ["other"]),
    ("fallbacks", [{"m": ["other"]}]),
    ("route", "fallback"),
    ("provider", {"order": ["x"]}),
    ("plugins", [{"id": "auto-router", "allowed_models": ["other"]}]),
    ("api_base", "http://169.254.169.254/"),
    ("custom_llm_provider", "x"),
    ("mock_response", "as if the model had said it"),
    ("mock_tool_calls", [{"id": "x"}]),
    ("metadata", {"fallbacks": ["other"]}),
    ("metadata", {"models": ["other"]}),
    ("metadata", {"TAGS": ["premium"]}),
    ("litellm_metadata", {"tags": ["x"]}),
    ("extra_body", {"models": ["other"]}),
    ("extra_headers", {"x-api-key": "a"}),
    ("proxy_server_request", {"url": "http://x/"}),
    ("secret_fields", {"a": "b"}),
    ("model_name", "other"),
    ("modelName", "other"),
    ("model_alias", "other"),
    ("modelId", "other"),
    ("engine-id", "other"),
    ("hf_model_name", "other"),
    ("model_file_id_mapping", {"a": {"b": "c"}}),
    ("targets", [{"provider": "x"}]),
    ("virtual_key", "x"),
    ("override_params", {"model": "other"}),
    ("custom_host", "http://x/"),
    ("webhook_url", "http://x/"),
    ("callback-url", "http://x/"),
    ("lora_adapter", "x"),
    ("adapter_source", "x"),
    ("lora", [{"id": 0}]),
    ("providerOptions", {"gateway": {"order": ["x"]}}),
    ("routing", {"x": 1}),
    ("model_selection", {"x": 1}),
    ("langfuse_host", "http://x/"),
    ("gcs_bucket_name", "x"),
    ("s3_bucket_name", "x"),
    ("slack_webhook_url", "http://x/"),
    ("arize_api_key", "x"),
    ("posthog_host", "http://x/"),
    ("aws_role_name", "x"),
    ("azure_ad_token", "x"),
    ("vertex_project", "x"),
    ("prompt_id", "x"),
    ("input_cost_per_token", 0),
    ("ssl_verify", False),
    ("use_litellm_proxy", True),
    ("configurable_clientside_auth_params", ["api_base"]),
    ("data_parallel_rank", 3),
    ("vllm_xargs", {"kv_transfer_params": "x"}),
    ("nvext", {"backend_instance_id": 1}),
    ("kv_transfer_params", {"remote_host": "x"}),
    ("m\u043edels", ["other"]),
]
HEADERS: Final = (
    *("x-portkey-config", "x-portkey-provider", "x-portkey-custom-host", "x-portkey-virtual-key"),
    *("x-litellm-tags", "x-litellm-api-base", "x-litellm-num-retries", "x-litellm-model"),
    *("helicone-target-url", "helicone-auth", "helicone-fallbacks", "helicone-openai-api-base"),
    *("x-goog-user-project", "x-goog-request-params", "openai-organization", "openai-project"),
    *("x-openrouter-provider", "x-model", "x-model-provider", "x-provider", "x-target-url"),
    *("x-base-url", "x-original-url", "x-rewrite-url", "x-http-method-override", "x-route"),
    *("x-amzn-bedrock-guardrailidentifier", "x-amz-security-token", "cf-aig-custom-cost"),
    *("azureml-model-deployment", "x-vercel-ai-gateway", "http-referer", "x-title", "cookie"),
    *("proxy-authorization", "baggage", "x-prefill-host-port", "x-worker-instance-id"),
    *("x-data-parallel-rank", "x-session-affinity", "x-gateway-passthrough", "authorization2"),
)
QUERIES: Final = (
    *("model=other", "api_base=http://evil/", "key=evil", "%6dodel=other", "model%00=other"),
    *("models[]=other", "api-version=evil", "quotaUser=evil", "$.xgafv=2", "access_token=evil"),
)


def config(port: int) -> str:
    text = '[server]\nbind = "127.0.0.1:0"\n[overload]\nlag = 0\n[breaker]\nenabled = false\n'
    text += '[store]\nurl = ""\n'
    for name, (kind, path, more) in PROVIDERS.items():
        text += (
            f'[providers.p{name}]\nkind = "{kind}"\napi_key = "sk-provider"\n{more}\n'
            f'base_url = "http://127.0.0.1:{port}{path}"\n'
            f'[[models]]\nname = "{name}"\n'
            f'routes = [{{ provider = "p{name}", model = "real-{name}" }}]\n'
            f'[[models]]\nname = "{name}/*"\n'
            f'routes = [{{ provider = "p{name}", model = "*" }}]\n'
        )
    names = json.dumps([*PROVIDERS, *(f"{name}/*" for name in PROVIDERS)])
    return (
        f'{text}[[models]]\nname = "other"\nroutes = [{{ provider = "pm", model = "other" }}]\n'
        f'[[tokens]]\nname = "one"\nkey = "{KEY}"\nmodels = {names}\n'
    )


class Doors:
    def __init__(self, caller: Caller, provider: Provider) -> None:
        self.caller, self.provider = caller, provider

    async def post(
        self, path: str, body: dict[str, Any] | bytes, headers: Headers = ()
    ) -> tuple[Reply, list[Any]]:
        """Return the answer, and what the provider was asked for it."""
        before = len(self.provider.asked)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.caller.post(data, key=KEY, target=path, headers=headers)
        reply = await self.caller.reply()
        assert reply.complete
        assert reply.status < 500, (path, body, headers, reply)
        return reply, self.provider.asked[before:]


@pytest.fixture
async def doors() -> AsyncIterator[Doors]:
    # Nothing is tried twice, and nothing counts against the provider.
    refusal = whole(400, {"error": {"message": "bad", "type": "invalid_request_error"}})
    async with (
        serving([(0.0, refusal)]) as provider,
        in_process(config(provider.port)) as gateway,
        calling(gateway.port) as caller,
    ):
        yield Doors(caller, provider)


async def test_each_door_is_open(doors: Doors) -> None:
    for path, body in (DOORS | TRANSLATED).items():
        _, asked = await doors.post(path, body)
        assert len(asked) == 1, path


async def test_members(doors: Doors) -> None:
    for path, body in DOORS.items():
        for name, value in MEMBERS:
            reply, asked = await doors.post(path, body | {name: value})
            if name.isascii():
                assert (reply.status, asked) == (403, []), (path, name)
            else:
                # Letters of another script: a member of another name, to every reader.
                assert len(asked) == 1
    for path, body in TRANSLATED.items():
        for name, value in MEMBERS:
            _, asked = await doors.post(path, body | {name: value})
            assert all(name not in each.json for each in asked), (path, name)


async def test_headers(doors: Doors) -> None:
    for path, body in (DOORS | TRANSLATED).items():
        _, asked = await doors.post(path, body, [(name, "evil") for name in HEADERS])
        assert len(asked) == 1, path
        assert "evil" not in str(asked[0].headers), path


async def test_queries(doors: Doors) -> None:
    for path, body in (DOORS | TRANSLATED).items():
        for query in QUERIES:
            _, asked = await doors.post(f"{path}{'&' if '?' in path else '?'}{query}", body)
            for each in asked:
                assert each.target.partition("?")[2] in ("", "alt=sse"), (path, query)
                assert b"other" not in each.body


NAMES: Final = (
    *("other", "Other", " other", "other ", "m ", " m", "m\t", "m\u00a0", "m\u200b", "\ufeffm"),
    *("\uff4d", "m\0", "m\0other", "m\n", "m\r\nx: y", "M", "m?x=1", "m#x", "m;x", "m,other"),
    *("m\u202e", "m\u0301", "m:online", "m@other", "other:m", "auto", "*", "m/../other"),
    *("m/..", "m/../x", "m/./x", "m/x/..", "m/x\\..\\y", "m/%2e%2e/x", "m/x%2Fy", "m/a%00"),
    *("m/x ", "m/ x", "m/x\t", "m/x\u00a0", "m/x\u3000", "m/x\u200b", "m/x\u0085", "m/x\u2028"),
    *("m/x\r\ny: z", "m/\x7f", "m/\u061c", "m/x\u00ad", "m/" + "x" * 5000, "\uff4d/x"),
)


async def test_names_of_models(doors: Doors) -> None:
    """Names that some reader would take for another, in bodies and in paths."""
    for path, body in (DOORS | TRANSLATED).items():
        own = body.get(
            "model", next((n for n in "gbm" if f"/{n}:" in path or f"/{n}/" in path), "")
        )
        for name in NAMES:
            named = own + name[1:] if name.startswith("m") else name
            if "model" in body:
                reply, asked = await doors.post(path, body | {"model": named})
            else:
                quoted = quote(named, safe="", errors="surrogatepass")
                there = path.replace(f"/{own}:", f"/{quoted}:").replace(f"/{own}/", f"/{quoted}/")
                reply, asked = await doors.post(there, body)
            assert reply.status in (400, 403, 404), (path, name, reply)
            assert asked == [], (path, name)


async def test_a_model_in_the_path_and_another_in_the_body(doors: Doors) -> None:
    for path, body in DOORS.items():
        if "model" in body:
            continue
        for name in ("other", "models/other", "Other"):
            for member in ("model", "Model", "model\0"):
                _, asked = await doors.post(path, body | {member: name})
                assert all(b"other" not in each.body.lower() for each in asked), (path, member)


FIELDS: Final = (
    *(("model", "other"), ("Model", "other"), ("models", "other"), ("models[]", "other")),
    *(("model ", "other"), ("model\0", "other"), ("fallbacks", "other"), ("api_base", "http://x/")),
    *(
        ("custom_llm_provider", "x"),
        ("mock_response", "x"),
        ("provider", "{}"),
        ("extra_body", "{}"),
    ),
    *(("\uff4dodel", "other"), ("litellm_params", "{}"), ("webhook_url", "http://x/")),
)


@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/images/edits"])
async def test_fields_of_forms(doors: Doors, path: str) -> None:
    kind = ("content-type", "multipart/form-data; boundary=xx")
    usual = _field("model", "m")
    file = '--xx\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nabc\r\n'
    _, asked = await doors.post(path, (usual + file + "--xx--\r\n").encode(), [kind])
    assert len(asked) == 1
    for name, value in FIELDS:
        for form in (_field(name, value) + usual + file, usual + file + _field(name, value)):
            reply, asked = await doors.post(path, f"{form}--xx--\r\n".encode(), [kind])
            assert reply.status in (400, 403, 404), (name, reply)
            # What stands behind a file is only seen when most has been sent: it is not ended.
            assert all(b"--xx--" not in each.body for each in asked), name


def _field(name: str, value: str) -> str:
    return f'--xx\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
