from __future__ import annotations

import pytest

from gateway.api.routes import Operation, decoded, match
from gateway.api.spoken_dialect import dialect_of
from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import Dialect
from gateway.core.dialects.gemini.dialect import GEMINI, METHODS
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_completions.dialect import OPENAI_COMPLETIONS
from gateway.core.dialects.openai_numbers.dialect import OPENAI_EMBEDDINGS, OPENAI_MODERATIONS
from gateway.core.dialects.openai_responses.dialect import (
    OPENAI_INPUT_TOKENS,
    OPENAI_KEPT_RESPONSES,
    OPENAI_RESPONSES,
)
from gateway.errors import MethodNotAllowed, NotFound


@pytest.mark.parametrize("prefix", ["", "/v1", "/v1/v1"])
@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/chat/completions", ("chat", "")),
        ("POST", "/chat/completions/", ("chat", "")),
        ("GET", "/models", ("models", "")),
        ("HEAD", "/models", ("models", "")),
        ("GET", "/models/", ("models", "")),
        ("GET", "/models/gpt-4o", ("model", "gpt-4o")),
        ("GET", "/models/openai/gpt-4o", ("model", "openai/gpt-4o")),
        ("GET", "/models/é b", ("model", "é b")),
    ],
)
def test_api(prefix: str, method: str, path: str, expected: tuple[str, str]) -> None:
    route, argument = match(method, prefix + path)
    assert (route.operation.value, argument) == expected
    assert route.dialect is OPENAI_CHAT


@pytest.mark.parametrize("prefix", ["", "/v1", "/v1/v1"])
@pytest.mark.parametrize(
    "dialect",
    [
        OPENAI_CHAT,
        OPENAI_COMPLETIONS,
        OPENAI_EMBEDDINGS,
        OPENAI_INPUT_TOKENS,
        OPENAI_MODERATIONS,
        OPENAI_RESPONSES,
    ],
)
def test_a_model_is_called_in_the_dialect_of_the_path(prefix: str, dialect: Dialect) -> None:
    path = prefix + dialect.path.removeprefix("/v1")
    for each in (path, path + "/"):
        route, argument = match("POST", each)
        assert (route.operation, route.dialect, argument) == (Operation.CHAT, dialect, "")
    with pytest.raises(MethodNotAllowed) as caught:
        match("GET", path)
    assert caught.value.allow == "POST"


@pytest.mark.parametrize("prefix", ["", "/v1", "/v1/v1"])
@pytest.mark.parametrize(
    ("method", "path", "argument"),
    [
        ("GET", "/responses/resp_1", "resp_1"),
        ("DELETE", "/responses/resp_1/", "resp_1"),
        ("GET", "/responses/resp_1/input_items", "resp_1/input_items"),
        ("POST", "/responses/resp_1/cancel", "resp_1/cancel"),
    ],
)
def test_what_a_provider_keeps(prefix: str, method: str, path: str, argument: str) -> None:
    route, found = match(method, prefix + path)
    assert (route.operation, found) == (Operation.KEPT_ANSWER, argument)
    assert route.dialect is OPENAI_KEPT_RESPONSES


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/v1/responses/resp_1", "GET, DELETE"),
        ("/v1/responses/resp_1/input_items", "GET"),
        ("/v1/responses/resp_1/cancel", "POST"),
        ("/v1/responses/input_tokens", "POST"),
    ],
)
def test_what_cannot_be_done_with_it(path: str, allow: str) -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        match("PUT", path)
    assert caught.value.allow == allow


@pytest.mark.parametrize(
    "path", ["/v1/responses/", "/v1/responses/a/b", "/v1/responses/a/input_items/b"]
)
def test_what_else_is_below_it_is_not_there(path: str) -> None:
    with pytest.raises((NotFound, MethodNotAllowed)):
        match("GET", path)


# Of Gemini's API a model is called by the path, which must not be taken for a model's.
_GOOGLES = ("", "/v1", "/v1beta", "/v1alpha", "/v1beta/v1beta", "/v1/v1beta")


@pytest.mark.parametrize("prefix", _GOOGLES)
def test_a_method_of_a_model(prefix: str) -> None:
    for model in ("m", "org/m", "llama3:8b"):
        for method in METHODS:
            path = f"{prefix}/models/{model}:{method}"
            route, argument = match("POST", path, b"alt=sse")
            assert (route.operation, argument) == (Operation.CHAT, "")
            assert route.dialect.path.partition("?")[0] == path
            assert route.dialect.read_request(b"{}").model == model
            with pytest.raises(MethodNotAllowed) as caught:
                match("GET", path)
            assert caught.value.allow == "POST"
        route, argument = match("GET", f"{prefix}/models/{model}")
        assert (route.operation, argument) == (Operation.MODEL, model)
        with pytest.raises(NotFound, match="streamGenerateContent"):
            match("POST", f"{prefix}/models/{model}:predict")
    assert match("GET", f"{prefix}/models")[0].operation is Operation.MODELS
    assert match("GET", f"{prefix}/models/")[0].operation is Operation.MODELS


@pytest.mark.parametrize(
    ("path", "headers", "query", "dialect"),
    [
        ("/v1beta/models", {}, b"", GEMINI),
        ("/v1beta/nothing", {}, b"", GEMINI),
        ("/v1/models/m:generateContent", {}, b"", GEMINI),
        ("/models/m:countTokens", {b"x-api-key": b"k"}, b"", GEMINI),
        ("/v1/models", {b"x-goog-api-key": b"k"}, b"", GEMINI),
        ("/v1/models", {b"x-goog-api-client": b"k"}, b"", GEMINI),
        ("/models", {}, b"key=k", GEMINI),
        ("/v1/models", {}, b"monkey=k", OPENAI_CHAT),
        ("/v1/models", {b"x-api-key": b"k"}, b"", ANTHROPIC_MESSAGES),
        ("/v1/messages", {b"x-goog-api-key": b"k"}, b"", ANTHROPIC_MESSAGES),
        ("/v1/models", {}, b"", OPENAI_CHAT),
    ],
)
def test_what_a_caller_speaks(
    path: str, headers: dict[bytes, bytes], query: bytes, dialect: Dialect
) -> None:
    assert dialect_of(path, headers, query).error_reply(NotFound("x")) == dialect.error_reply(
        NotFound("x")
    )


@pytest.mark.parametrize("name", ["live", "ready"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_health(name: str, method: str) -> None:
    route, argument = match(method, f"/health/{name}")
    assert (route.operation.value, argument) == (name, "")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "//",
        "///",
        "/v1",
        "/v2/models",
        "/v1/v1/v1/models",
        "/health",
        "/Models",
        "/models\n",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_not_found_says_where_the_api_is(method: str, path: str) -> None:
    with pytest.raises(NotFound, match="base URL of an OpenAI client ends in /v1") as caught:
        match(method, path)
    assert (caught.value.status, caught.value.code) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("HEAD", "/v1/chat/completions", "POST"),
        ("OPTIONS", "/v1/chat/completions", "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("DELETE", "/v1/models/ft:x", "GET, HEAD"),
        ("POST", "/health/live", "GET, HEAD"),
    ],
)
def test_method_not_allowed(method: str, path: str, allow: str) -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        match(method, path)
    assert (caught.value.status, caught.value.allow) == (405, allow)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/v1/models/openai%2Fgpt", "/v1/models/openai/gpt"),
        (b"/v1/models/%C3%A9", "/v1/models/é"),
        (b"/a%zz%", "/a%zz%"),
        (b"/%ff", "/\ufffd"),
    ],
)
def test_decoded(raw: bytes, path: str) -> None:
    assert decoded(raw) == path


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"//v1//chat/completions", "/v1/chat/completions"),
        (b"/v1///chat//completions//", "/v1/chat/completions/"),
        (b"/%2Fv1/models", "/v1/models"),
        (b"//", "/"),
        (b"//admin/api/status", "/admin/api/status"),
        (b"/v1/models/a%2Fb", "/v1/models/a/b"),
    ],
)
def test_slashes_that_follow_each_other_are_one(raw: bytes, path: str) -> None:
    assert decoded(raw) == path
