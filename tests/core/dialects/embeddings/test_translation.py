"""Texts in, vectors out, from callers of each API to providers of each other."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any, Final

import pytest

from gateway.core.dialects.base import Dialect, NotAnAnswer
from gateway.core.dialects.cohere.dialect import COHERE_CHAT, COHERE_EMBED
from gateway.core.dialects.gemini.dialect import GEMINI, GEMINI_BATCH_EMBED, asked_by
from gateway.core.dialects.ollama.dialect import OLLAMA_CHAT, OLLAMA_EMBED
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_numbers.dialect import OPENAI_EMBEDDINGS
from gateway.core.dialects.translators import Untranslatable, translatable, translate_any
from gateway.core.records.usage import Usage
from gateway.errors import InvalidRequest

from ..canonical.recipient import To

TEXTS: Final = ["one", "zw\u00f6i"]
VECTORS: Final = [[0.5, -1.25], [2.0, 0.0]]
PACKED: Final = [base64.b64encode(struct.pack("<2f", *each)).decode() for each in VECTORS]


def by_path(path: str) -> Dialect:
    found = asked_by(path)
    assert found is not None
    return found


BATCH: Final = by_path("/v1beta/models/m:batchEmbedContents")
SINGLE: Final = by_path("/v1beta/models/m:embedContent")


def gemini(text: str) -> dict[str, Any]:
    return {"content": {"parts": [{"text": text}]}, "outputDimensionality": 2}


# What a caller asks, and how it reads the vectors.
CALLERS: Final[list[tuple[Dialect, dict[str, Any]]]] = [
    (OPENAI_EMBEDDINGS, {"model": "m", "input": TEXTS, "dimensions": 2}),
    (COHERE_EMBED, {"model": "m", "texts": TEXTS, "input_type": "search_query", "output_dimension": 2}),  # noqa: E501
    (BATCH, {"requests": [{**gemini(each), "taskType": "RETRIEVAL_QUERY"} for each in TEXTS]}),
    (OLLAMA_EMBED, {"model": "m", "input": TEXTS, "dimensions": 2, "truncate": False}),
]  # fmt: skip
PROVIDERS: Final[list[tuple[Dialect, str, dict[str, Any], Usage | None]]] = [
    (
        OPENAI_CHAT,
        OPENAI_EMBEDDINGS.name,
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": 1, "embedding": VECTORS[1]},
                {"object": "embedding", "index": 0, "embedding": PACKED[0]},
            ],
            "model": "x",
            "usage": {"prompt_tokens": 5, "total_tokens": 5},
        },
        Usage(5),
    ),
    (
        COHERE_CHAT,
        COHERE_EMBED.name,
        {
            "id": "e",
            "embeddings": {"float": VECTORS},
            "meta": {"billed_units": {"input_tokens": 5}},
        },
        Usage(5),
    ),
    (
        GEMINI,
        GEMINI_BATCH_EMBED.name,
        {"embeddings": [{"values": each} for each in VECTORS]},
        None,
    ),
    (
        OLLAMA_CHAT,
        OLLAMA_EMBED.name,
        {"model": "x", "embeddings": VECTORS, "prompt_eval_count": 5},
        Usage(5),
    ),
]


def vectors_of(caller: Dialect, answer: dict[str, Any]) -> list[Any]:
    if caller is OPENAI_EMBEDDINGS:
        assert [each["index"] for each in answer["data"]] == [0, 1]
        return [each["embedding"] for each in answer["data"]]
    if caller is COHERE_EMBED:
        found: list[Any] = answer["embeddings"]["float"]
        return found
    if caller is OLLAMA_EMBED:
        return [*answer["embeddings"]]
    return [each["values"] for each in answer["embeddings"]]


def test_every_caller_on_every_other_provider() -> None:
    for caller, asked in CALLERS:
        for speaks, operation, answer, usage in PROVIDERS:
            if operation == caller.name:
                continue  # as it is
            to = To(speaks, targets={operation: b"/x"})
            assert translatable(caller, to)
            request = translate_any(
                caller.read_request(json.dumps(asked).encode()), caller, to, 1.5
            )
            assert request.operation == operation
            sent = json.loads(request.body_for(to))
            text = json.dumps(sent, ensure_ascii=False)
            assert all(f'"{each}"' in text for each in TEXTS)
            assert '"real"' in text or "models/real" in text
            dimensions = ("dimensions", "output_dimension", "outputDimensionality")
            assert any(f'"{each}": 2' in text for each in dimensions), text
            found = request.rewrite_answer(to, b'"mine"', json.dumps(answer).encode())
            assert found.usage == usage
            assert vectors_of(caller, json.loads(found.body)) == VECTORS


def test_what_vectors_are_for() -> None:
    """An API that has a word for it is told, the others list it."""
    asked = json.dumps({"model": "m", "texts": TEXTS, "input_type": "search_query"}).encode()
    sent = translate_any(
        COHERE_EMBED.read_request(asked),
        COHERE_EMBED,
        To(GEMINI, targets={GEMINI_BATCH_EMBED.name: b""}),
        1.5,
    )
    kinds = [each["taskType"] for each in json.loads(sent.inner.body)["requests"]]
    assert kinds == ["RETRIEVAL_QUERY"] * 2
    sent = translate_any(
        COHERE_EMBED.read_request(asked),
        COHERE_EMBED,
        To(OPENAI_CHAT, targets={OPENAI_EMBEDDINGS.name: b""}),
        1.5,
    )
    assert sent.dropped == ("input_type",)
    to = To(COHERE_CHAT, targets={COHERE_EMBED.name: b""})
    for more, kind in (({}, "search_document"), ({"input_type": "query"}, "search_query")):
        body = json.dumps({"model": "m", "input": "a", **more}).encode()
        sent = translate_any(OPENAI_EMBEDDINGS.read_request(body), OPENAI_EMBEDDINGS, to, 1.5)
        assert json.loads(sent.inner.body)["input_type"] == kind


def test_vectors_as_base64() -> None:
    """As OpenAI's SDK for Python asks unless told otherwise."""
    body = {"model": "m", "input": TEXTS, "encoding_format": "base64"}
    to = To(OLLAMA_CHAT, targets={OLLAMA_EMBED.name: b""})
    request = translate_any(
        OPENAI_EMBEDDINGS.read_request(json.dumps(body).encode()), OPENAI_EMBEDDINGS, to, 1.5
    )
    answer = json.dumps({"embeddings": VECTORS}).encode()
    found = json.loads(request.rewrite_answer(to, b'"mine"', answer).body)
    assert [each["embedding"] for each in found["data"]] == PACKED
    assert found["model"] == "mine"
    asked = {"model": "m", "texts": TEXTS, "input_type": "search_query"}
    asked["embedding_types"] = ["base64", "float"]
    request = translate_any(
        COHERE_EMBED.read_request(json.dumps(asked).encode()), COHERE_EMBED, to, 1.5
    )
    found = json.loads(request.rewrite_answer(to, b'"mine"', answer).body)
    assert found["embeddings"] == {"float": VECTORS, "base64": PACKED}


def test_one_text_of_gemini() -> None:
    to = To(OLLAMA_CHAT, targets={OLLAMA_EMBED.name: b""})
    body = {"content": {"parts": [{"text": "a"}, {"text": "b"}]}, "task_type": "CLUSTERING"}
    request = translate_any(SINGLE.read_request(json.dumps(body).encode()), SINGLE, to, 1.5)
    assert json.loads(request.inner.body) == {"model": "real", "input": ["a\nb"]}
    answer = json.dumps({"embeddings": VECTORS[:1]}).encode()
    found = request.rewrite_answer(to, b'"mine"', answer).body
    assert json.loads(found) == {"embedding": {"values": VECTORS[0]}}


def test_what_cannot_be_translated() -> None:
    openai = To(OPENAI_CHAT, targets={OPENAI_EMBEDDINGS.name: b""})
    cohere = To(COHERE_CHAT, targets={COHERE_EMBED.name: b""})
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,x"}}
    cases: tuple[tuple[Dialect, To, dict[str, Any], str], ...] = (
        (OPENAI_EMBEDDINGS, cohere, {"model": "m", "input": [1, 2]}, "input"),
        (OPENAI_EMBEDDINGS, cohere, {"model": "m", "input": [[1], "a"]}, "input"),
        (COHERE_EMBED, openai, {"model": "m", "images": ["x"], "texts": ["a"]}, "images"),
        (COHERE_EMBED, openai, {"model": "m", "inputs": [{"content": [image]}]}, "inputs.0"),
        (
            *(COHERE_EMBED, openai),
            {"model": "m", "texts": ["a"], "embedding_types": ["int8"]},
            "embedding_types",
        ),
        (
            *(BATCH, openai),
            {"requests": [gemini("a"), {**gemini("b"), "outputDimensionality": 3}]},
            "outputDimensionality",
        ),
        (OPENAI_EMBEDDINGS, To(COHERE_CHAT), {"model": "m", "input": "a"}, "model"),
    )
    for caller, to, body, name in cases:
        with pytest.raises(Untranslatable, match=name):
            translate_any(caller.read_request(json.dumps(body).encode()), caller, to, 1.5)
    wrong: tuple[tuple[Dialect, To, dict[str, Any]], ...] = (
        (OPENAI_EMBEDDINGS, cohere, {"model": "m", "input": []}),
        (OPENAI_EMBEDDINGS, cohere, {"model": "m", "input": {"a": 1}}),
        (OPENAI_EMBEDDINGS, cohere, {"model": "m", "input": "a", "encoding_format": "x"}),
        (COHERE_EMBED, openai, {"model": "m"}),
        (COHERE_EMBED, openai, {"model": "m", "texts": [3]}),
        (OLLAMA_EMBED, openai, {"model": "m"}),
        (BATCH, openai, {"requests": []}),
        (BATCH, openai, {"requests": [{"content": {"parts": []}}]}),
    )
    for caller, to, body in wrong:
        with pytest.raises(InvalidRequest):
            translate_any(caller.read_request(json.dumps(body).encode()), caller, to, 1.5)


def test_what_is_no_answer() -> None:
    to = To(OLLAMA_CHAT, targets={OLLAMA_EMBED.name: b""})
    body = {"model": "m", "input": TEXTS, "encoding_format": "base64"}
    request = translate_any(
        OPENAI_EMBEDDINGS.read_request(json.dumps(body).encode()), OPENAI_EMBEDDINGS, to, 1.5
    )
    for answer in (
        {"embeddings": VECTORS[:1]},
        {"embeddings": [["a"], ["b"]]},
        {"embeddings": [[1e300], [0.0]]},
        {"embeddings": 3},
        {"error": "no"},
    ):
        with pytest.raises(NotAnAnswer):
            request.rewrite_answer(to, b'"mine"', json.dumps(answer).encode())
