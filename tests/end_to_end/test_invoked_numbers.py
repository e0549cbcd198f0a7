"""Vectors and ranks of models at Bedrock, by InvokeModel, for callers of each API, over TCP."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote

import pytest
import trio

from gateway.core.records.record import EndReason

from .caller import calling
from .harness import in_process
from .provider import Asked, serving
from .test_bedrock import KEY, signed_rightly
from .wire import STALL, Script, whole

TITAN: Final = "amazon.titan-embed-text-v2:0"
COHERE: Final = "us.cohere.embed-v4:0"
RANKS: Final = "cohere.rerank-v3-5:0"
OWN_RANKS: Final = "arn:aws:bedrock:us-west-2::foundation-model/amazon.rerank-v1:0"
PNG: Final = "iVBORw0KGgoAAAANSUhEUg=="
URL: Final = f"data:image/png;base64,{PNG}"


def config(port: int, more: str = "") -> str:
    def model(name: str, real: str, prices: str = "input_price = 1, output_price = 0") -> str:
        return (
            f'[[models]]\nname = "{name}"\n'
            f'routes = [{{ provider = "aws", model = "{real}", {prices} }}]\n'
        )

    return (
        '[server]\nbind = "127.0.0.1:0"\n[store]\nurl = ""\n[overload]\nlag = 0\n'
        "[retry]\nbase = 0.01\ncap = 0.02\n"
        '[providers.aws]\nkind = "bedrock"\nregion = "eu-west-1"\n'
        f'base_url = "http://127.0.0.1:{port}"\n{KEY}'
        + model("titan", TITAN)
        + model("old", "amazon.titan-embed-text-v1")
        + model("pictures", "amazon.titan-embed-image-v1")
        + model("cohere", COHERE)
        + model("ranks", RANKS, "search_price = 2")
        + model("own-ranks", OWN_RANKS, "search_price = 1")
        + more
    )


def vector(text: str) -> list[float]:
    return [float(len(text)), 0.5]


def bedrock(asked: Asked) -> Script:
    """Answer as Amazon does."""
    body = asked.json
    assert not body.keys() & {"model", "modelId"}, body
    if "titan" in asked.target:
        text = body.get("inputText", "")
        found = {"embedding": vector(text), "inputTextTokenCount": len(text)}
        return [(0.0, whole(200, found))]
    if "rerank" in asked.target:
        order = sorted(range(len(body["documents"])), key=lambda n: -len(body["documents"][n]))
        ranks = [{"index": n, "relevance_score": 0.25} for n in order[: body.get("top_n")]]
        return [(0.0, whole(200, {"results": ranks}))]
    assert body["input_type"] != "image"  # version 4 has no such word
    inputs = body.get("texts") or body.get("images") or body["inputs"]
    vectors: Any = [vector(each if isinstance(each, str) else "input") for each in inputs]
    if "embedding_types" in body:
        vectors = dict.fromkeys(body["embedding_types"], vectors)
    found = {"id": "e", "embeddings": vectors, "response_type": "embeddings_by_type"}
    return [(0.0, whole(200, found, "x-amzn-bedrock-input-token-count: 7"))]


def titan_callers(texts: list[str]) -> list[tuple[str, dict[str, Any], Callable[[Any], Any]]]:
    """Return where and what each caller asks the model `titan`, and how it reads the vectors."""
    batch = [{"model": "models/titan", "content": {"parts": [{"text": each}]}} for each in texts]
    return [
        (
            "/v1/embeddings",
            {"model": "titan", "input": texts, "dimensions": 256},
            lambda found: [each["embedding"] for each in found["data"]],
        ),
        (
            "/v2/embed",
            {"model": "titan", "texts": texts, "input_type": "search_query"},
            lambda found: found["embeddings"]["float"],
        ),
        ("/api/embed", {"model": "titan", "input": texts}, lambda found: found["embeddings"]),
        (
            "/v1beta/models/titan:batchEmbedContents",
            {"requests": batch},
            lambda found: [each["values"] for each in found["embeddings"]],
        ),
    ]


async def test_each_caller_has_several_texts_of_a_model_that_takes_one() -> None:
    texts = ["a" * size for size in range(1, 21)]
    async with (
        serving(bedrock) as provider,
        in_process(config(provider.port)) as gateway,
        calling(gateway.port) as caller,
    ):
        for number, (path, body, read) in enumerate(titan_callers(texts), 1):
            provider.asked.clear()
            await caller.post(json.dumps(body).encode(), target=path)
            reply = await caller.reply()
            assert reply.status == 200, reply.body
            assert read(reply.json) == [vector(each) for each in texts]
            assert sorted(len(each.json["inputText"]) for each in provider.asked) == [*range(1, 21)]
            for asked in provider.asked:
                assert unquote(asked.target) == f"/model/{TITAN}/invoke"
                assert signed_rightly(asked, provider.port)
                assert asked.json.get("dimensions") == (256 if "dimensions" in body else None)
            record = await gateway.record(number)
            assert (record.operation, record.end_reason) == ("embeddings", EndReason.COMPLETE)
            # What all of them took is one request's, and one attempt's.
            assert (record.input_tokens, record.cost_nano_usd) == (210, 210_000)
            assert (record.counted_by, len(record.attempts)) == ("provider", 1)
            if path == "/v1/embeddings":
                assert reply.json["usage"] == {"prompt_tokens": 210, "total_tokens": 210}
        # Eight at once of one request, whose connections are kept for the next.
        assert provider.connections <= 8
        await gateway.settled()


async def test_all_texts_or_none() -> None:
    """One that fails is the whole attempt's failure, tried again as any, and ends the others."""
    failures = {"left": 1}

    def answer(asked: Asked) -> Script:
        if asked.json["inputText"] == "bad" and failures["left"]:
            failures["left"] -= 1
            return [(0.0, whole(503, {"message": "no"}))]
        if asked.json["inputText"] == "refused":
            said = {"message": "Malformed input request: #/inputText: too long"}
            return [(0.0, whole(400, said, "x-amzn-errortype: ValidationException"))]
        return bedrock(asked)

    async with (
        serving(answer) as provider,
        in_process(config(provider.port)) as gateway,
        calling(gateway.port) as caller,
    ):
        body = {"model": "titan", "input": ["good", "bad", "goods"]}
        await caller.post(json.dumps(body).encode(), target="/v1/embeddings")
        reply = await caller.reply()
        assert [each["embedding"] for each in reply.json["data"]] == [
            vector(each) for each in body["input"]
        ]
        record = await gateway.record()
        assert [each.status for each in record.attempts] == [503, 200]
        assert record.input_tokens == len("goodbadgoods")
        body["input"] = ["good", "refused", "good"]
        await caller.post(json.dumps(body).encode(), target="/v1/embeddings")
        reply = await caller.reply()
        assert reply.status == 400
        assert "too long" in reply.error["message"]
        record = await gateway.record(2)
        assert (record.end_reason, record.input_tokens) == (EndReason.PROVIDER_REJECTED, None)
        # More than OpenAI takes in one request are not made into thousands of calls.
        asked = len(provider.asked)
        body["input"] = ["a"] * 2049
        await caller.post(json.dumps(body).encode(), target="/v1/embeddings")
        reply = await caller.reply()
        assert (reply.status, reply.error["param"]) == (400, "input")
        assert len(provider.asked) == asked
        await gateway.settled()


async def test_a_caller_that_leaves_ends_all_calls() -> None:
    async with (
        serving(lambda _: [(0.0, STALL)]) as provider,
        in_process(config(provider.port)) as gateway,
    ):
        async with calling(gateway.port) as caller:
            body = {"model": "titan", "input": ["a", "b", "c"]}
            await caller.post(json.dumps(body).encode(), target="/v1/embeddings")
            await provider.wait_asked(3)
        for asked in provider.asked:
            await asked.peer_left.wait()
        assert (await gateway.record()).end_reason is EndReason.CLIENT_GONE
        await gateway.settled()


async def test_what_each_model_takes() -> None:
    """Options by the words of each model; what it has none for is refused by its name."""
    cases: list[tuple[str, dict[str, Any], dict[str, Any] | str]] = [
        ("titan", {"input": "a", "dimensions": 512}, {"inputText": "a", "dimensions": 512}),
        ("old", {"input": "a", "dimensions": 1536}, {"inputText": "a"}),
        ("old", {"input": "a", "dimensions": 256}, "dimensions"),
        (
            "pictures",
            {"input": "a", "dimensions": 384},
            {"inputText": "a", "embeddingConfig": {"outputEmbeddingLength": 384}},
        ),
        ("titan", {"input": [1, 2]}, "input"),
        (
            "cohere",
            {"input": ["a"], "dimensions": 256, "input_type": "query"},
            {
                "texts": ["a"],
                "input_type": "search_query",
                "embedding_types": ["float"],
                "output_dimension": 256,
            },
        ),
    ]
    async with (
        serving(bedrock) as provider,
        in_process(config(provider.port)) as gateway,
        calling(gateway.port) as caller,
    ):
        for model, body, sent in cases:
            provider.asked.clear()
            await caller.post(
                json.dumps({"model": model, **body}).encode(), target="/v1/embeddings"
            )
            reply = await caller.reply()
            if isinstance(sent, str):
                assert (reply.status, reply.error["param"]) == (400, sent), reply.body
                continue
            assert reply.status == 200, reply.body
            assert [each.json for each in provider.asked] == [sent]


async def test_images_for_vectors() -> None:
    """Cohere's callers have images at Cohere's models there as they sent them, and at Titan's."""
    mixed = {"content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": URL}]}
    only = {"content": [{"type": "image_url", "image_url": {"url": URL}}]}
    cases: list[tuple[str, dict[str, Any], list[dict[str, Any]] | str]] = [
        ("cohere", {"images": [URL], "input_type": "image"}, [{"images": [URL]}]),
        ("cohere", {"inputs": [mixed], "input_type": "search_query"}, [{"inputs": [mixed]}]),
        ("pictures", {"images": [URL]}, [{"inputImage": PNG}]),
        (
            "pictures",
            {"inputs": [mixed, only]},
            [{"inputText": "a", "inputImage": PNG}, {"inputImage": PNG}],
        ),
        ("titan", {"images": [URL]}, "images.0"),
        ("pictures", {"images": ["https://x.example/a.png"]}, "images.0"),
    ]
    async with (
        serving(bedrock) as provider,
        in_process(config(provider.port)) as gateway,
        calling(gateway.port) as caller,
    ):
        for number, (model, body, sent) in enumerate(cases, 1):
            provider.asked.clear()
            await caller.post(json.dumps({"model": model, **body}).encode(), target="/v2/embed")
            reply = await caller.reply()
            record = await gateway.record(number)
            if isinstance(sent, str):
                assert reply.status == 400
                assert sent in reply.json["message"]
                continue
            assert reply.status == 200, reply.body
            asked = sorted((each.json for each in provider.asked), key=len, reverse=True)
            for each, members in zip(asked, sent, strict=True):
                assert each.items() >= members.items(), (each, members)
            if model == "pictures":
                # An image has a price of its own, and no answer counts it.
                assert record.cost_nano_usd is None


async def test_cohere_s_callers_have_what_cohere_has() -> None:
    """Other types of vectors, `truncate` in version 4's words, and counts of a header."""
    body = {"model": "cohere", "texts": ["a", "b"], "input_type": "search_document"}
    body |= {"embedding_types": ["int8", "ubinary"], "truncate": "END"}
    async with (
        serving(bedrock) as provider,
        in_process(config(provider.port)) as gateway,
        calling(gateway.port) as caller,
    ):
        await caller.post(json.dumps(body).encode(), target="/v2/embed")
        reply = await caller.reply()
        (asked,) = provider.asked
        assert (asked.json["truncate"], asked.json["embedding_types"]) == (
            "RIGHT",
            ["int8", "ubinary"],
        )
        assert unquote(asked.target) == f"/model/{COHERE}/invoke"
        assert reply.json["embeddings"].keys() == {"int8", "ubinary"}
        assert reply.json["meta"]["billed_units"] == {"input_tokens": 7}
        record = await gateway.record()
        assert (record.input_tokens, record.cost_nano_usd) == (7, 7_000)
        # 96 texts go into a call.
        body = {"model": "cohere", "input": ["a"] * 100}
        await caller.post(json.dumps(body).encode(), target="/v1/embeddings")
        reply = await caller.reply()
        assert [len(each.json["texts"]) for each in provider.asked[1:]] in ([96, 4], [4, 96])
        assert reply.json["usage"]["total_tokens"] == 14


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
async def test_ranks(path: str) -> None:
    """Documents as texts or as objects, shown if they are asked for, at both vendors' models."""
    documents = ["a", {"text": "ccc"}, "bb"]
    async with (
        serving(bedrock) as provider,
        in_process(config(provider.port)) as gateway,
        calling(gateway.port) as caller,
    ):
        for number, model in enumerate(("ranks", "own-ranks"), 1):
            body = {"model": model, "query": "q", "documents": documents, "top_n": 2}
            await caller.post(json.dumps({**body, "return_documents": True}).encode(), target=path)
            reply = await caller.reply()
            assert reply.status == 200, reply.body
            found = [(each["index"], each["document"]["text"]) for each in reply.json["results"]]
            assert found == [(1, "ccc"), (2, "bb")]
            assert reply.json["meta"]["billed_units"] == {"search_units": 1}
            asked = provider.asked[-1].json
            assert asked["documents"] == ["a", "ccc", "bb"]
            assert asked.get("api_version") == (2 if model == "ranks" else None)
            record = await gateway.record(number)
            # 2 and 1 USD for a thousand.
            assert record.cost_nano_usd == (2_000_000 if model == "ranks" else 1_000_000)
            assert record.operation == "rerank"
        # Voyage's clients look for another name.
        body = {"model": "ranks", "query": "q", "documents": ["a", "bb"], "top_k": 1}
        await caller.post(json.dumps(body).encode(), target=path)
        assert [each["index"] for each in (await caller.reply()).json["data"]] == [1]
        # Whether a hundred long documents are one query or several, nobody tells.
        body = {"model": "ranks", "query": "q", "documents": ["a " * 600] * 90}
        await caller.post(json.dumps(body).encode(), target=path)
        reply = await caller.reply()
        assert "billed_units" not in reply.json["meta"]
        assert (await gateway.record(4)).cost_nano_usd is None
        for wrong, name in (
            ({"documents": []}, "documents"),
            ({"documents": [{"image": "x"}]}, "documents.0"),
            ({"documents": ["a"], "query": 3}, "query"),
        ):
            body = {"model": "ranks", "query": "q", **wrong}
            await caller.post(json.dumps(body).encode(), target=path)
            reply = await caller.reply()
            assert reply.status == 400
            assert name in reply.body.decode()
        with trio.fail_after(60):
            await gateway.settled()
