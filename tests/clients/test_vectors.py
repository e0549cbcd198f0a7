"""Vectors and ranks by the SDKs of Cohere and Ollama, whatever API the provider has."""

from __future__ import annotations

import base64
import struct
from typing import Any, Final

import pytest

from ..end_to_end.harness import in_process
from ..end_to_end.provider import Asked, serving
from ..end_to_end.wire import Script, whole
from .world import config, need_node, need_python, run_node, run_vendors

pytestmark = pytest.mark.slow

# Such as four bytes hold exactly.
VECTORS: Final = [[0.5, -0.25], [1.0, 2.0]]
RANKS: Final = [[1, 0.75], [0, 0.25]]
TARGETS: Final = ("chat", "gemini", "cohere", "ollama")
RANKERS: Final = ("chat", "cohere")


def answer(asked: Asked) -> Script:
    """Answer in the API of the path: a vector for each text, or ranks."""
    path = asked.target.partition("?")[0]
    body: dict[str, Any] = asked.json
    if path.endswith("/rerank"):
        results = [{"index": index, "relevance_score": score} for index, score in RANKS]
        assert (body["query"], body["documents"], body["top_n"]) == ("q", ["a", "b"], 2)
        meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
        return [(0.0, whole(200, {"id": "r", "results": results, "meta": meta}))]
    if path.endswith("/v2/embed"):
        vectors = VECTORS[: len(body["texts"])]
        meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 5}}
        found: dict[str, Any] = {"id": "e", "embeddings": {"float": vectors}, "meta": meta}
        return [(0.0, whole(200, {**found, "texts": body["texts"]}))]
    if path.endswith(":batchEmbedContents"):
        vectors = VECTORS[: len(body["requests"])]
        found = {"embeddings": [{"values": each} for each in vectors]}
        return [(0.0, whole(200, found | {"usageMetadata": {"promptTokenCount": 5}}))]
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    vectors = VECTORS[: len(texts)]
    if path.endswith("/api/embed"):
        found = {"model": "real", "embeddings": vectors, "prompt_eval_count": 5}
        return [(0.0, whole(200, found))]
    assert path.endswith("/embeddings"), path
    data = [
        {"object": "embedding", "index": number, "embedding": _vector(body, each)}
        for number, each in enumerate(vectors)
    ]
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    found = {"object": "list", "data": data, "model": "real-model", "usage": usage}
    return [(0.0, whole(200, found))]


def _vector(body: dict[str, Any], vector: list[float]) -> Any:
    if body.get("encoding_format") != "base64":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


ASKED: Final = [
    *(("cohere, vectors", f"to-{target}") for target in TARGETS),
    *(("ollama, vectors", f"to-{target}") for target in TARGETS),
    *(("cohere, ranks", f"to-{target}") for target in RANKERS),
]


async def _tried(run: Any) -> None:
    async with serving(answer) as provider, in_process(config(provider.port)) as gateway:
        seen = await run(f"http://127.0.0.1:{gateway.port}", ASKED)
        await gateway.settled()
        records = list(gateway.records)
    wrong = [(*pair, each) for pair, each in zip(ASKED, seen, strict=True) if "error" in each]
    assert not wrong
    for (client, _), each in zip(ASKED, seen, strict=True):
        wanted = RANKS if client.endswith("ranks") else VECTORS
        assert all(call == wanted for call in each["calls"]), (client, each)
        assert each["calls"]
    assert {each.operation for each in records} == {"embeddings", "rerank"}
    # Five tokens at a dollar a million each.
    vectors = [each for each in records if each.operation == "embeddings"]
    assert {(each.input_tokens, each.cost_nano_usd) for each in vectors} == {(5, 5000)}


async def test_vectors_and_ranks_by_the_sdks_of_python() -> None:
    need_python()
    await _tried(run_vendors)


async def test_vectors_and_ranks_by_the_sdks_of_node() -> None:
    need_node()
    await _tried(run_node)
