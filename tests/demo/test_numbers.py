from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from gateway.demo.numbers import Embeddings, Moderations


def vectors(**members: object) -> Any:
    body = json.dumps({"model": "any", **members}).encode()
    return json.loads(Embeddings(body, 0).whole())


@pytest.mark.parametrize(
    ("given", "count", "tokens"),
    [("one two", 1, 2), (["a", "b c"], 2, 3), ([1, 2, 3], 1, 3), ([[1, 2], [3]], 2, 3)],
)
def test_each_input_has_a_vector(given: object, count: int, tokens: int) -> None:
    found = vectors(input=given)
    assert [each["index"] for each in found["data"]] == list(range(count))
    assert found["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    for each in found["data"]:
        assert sum(number**2 for number in each["embedding"]) == pytest.approx(1)


def test_equal_inputs_have_equal_vectors_in_both_encodings() -> None:
    [plain, again, other] = vectors(input=["a", "a", "b"], dimensions=7)["data"]
    assert plain["embedding"] == again["embedding"] != other["embedding"]
    packed = vectors(input="a", dimensions=7, encoding_format="base64")["data"][0]["embedding"]
    assert [*struct.unpack("<7f", base64.b64decode(packed))] == plain["embedding"]


@pytest.mark.parametrize(
    ("given", "count"), [("x", 1), (["x", "y"], 2), ([{"type": "text", "text": "x"}, {}], 1)]
)
def test_nothing_is_flagged(given: object, count: int) -> None:
    body = json.dumps({"model": "any", "input": given}).encode()
    found = json.loads(Moderations(body, 0).whole())
    assert [each["flagged"] for each in found["results"]] == [False] * count
