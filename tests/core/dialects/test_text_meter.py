from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.dialects.text_meter import TextMeter, answer_tokens, text_size

from ...rounds import rounds

WORDS = "word " * 250
PICTURE = "A" * 100_000


def raw(delta: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(delta))


class Choice(msgspec.Struct):
    delta: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def measured(*deltas: object) -> TextMeter:
    """Measure a stream of events with one delta each, in JSON of 300 bytes besides."""
    meter = TextMeter()
    for delta in deltas:
        meter.event([Choice(raw(delta))], len(raw(delta)) + 300)
    return meter


def call(**function: object) -> dict[str, object]:
    return {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}


@pytest.mark.parametrize(
    ("delta", "size"),
    [
        ({"content": WORDS}, 1250),
        ({"role": "assistant", "content": WORDS}, 1250),
        ({"reasoning_content": WORDS, "content": None}, 1250),
        ({"reasoning": WORDS, "reasoning_content": WORDS}, 1250),
        ({"reasoning": WORDS, "reasoning_details": [{"type": "x", "text": WORDS}]}, 1250),
        ({"reasoning_details": [{"type": "reasoning.text", "text": WORDS, "format": "x"}]}, 1250),
        (
            {"reasoning_details": [{"type": "reasoning.summary", "summary": WORDS, "index": 0}]},
            1250,
        ),
        ({"reasoning_details": [{"type": "reasoning.encrypted", "data": PICTURE, "id": "a"}]}, 0),
        ({"content": "", "reasoning": None, "reasoning_details": [{"text": WORDS}]}, 1250),
        ({"thinking_blocks": [{"type": "thinking", "thinking": WORDS, "signature": "x"}]}, 1250),
        (
            {"reasoning_content": WORDS, "thinking_blocks": [{"thinking": WORDS}]}
            | {"provider_specific_fields": {"reasoning_content": WORDS}},
            1250,
        ),
        ({"thinking": WORDS}, 1250),
        ({"refusal": WORDS}, 1250),
        (call(arguments=WORDS), 1250),
        (call(name="look", arguments=WORDS), 1254),
        ({"function_call": {"name": "look", "arguments": WORDS}}, 1254),
        (call(arguments={"id": "abc"}), len('{"id":"abc"}')),
        ({"audio": {"id": "a", "data": PICTURE, "transcript": WORDS}}, 1250),
        ({"images": [{"image_url": {"url": PICTURE}}]}, 0),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": WORDS}]}]}, 1250),
        ({"content": "é日"}, 5),
        ({"role": "assistant", "content": ""}, 0),
        ({}, 0),
        (None, 0),
        (7, 0),
    ],
)
def test_what_is_text(delta: object, size: int) -> None:
    assert text_size(delta) == size
    assert measured(delta).size == size


@pytest.mark.parametrize(
    "make",
    [
        lambda text: {"content": text},
        lambda text: {"role": "assistant", "content": text},
        lambda text: {"content": None, "reasoning_content": text},
        lambda text: {"tool_calls": [{"index": 0, "function": {"arguments": text}}]},
    ],
)
def test_a_long_stream_is_measured_well_without_looking_at_all_of_it(make: object) -> None:
    assert callable(make)
    rng = random.Random(7)
    texts = ["x" * rng.randint(1, 9) for _ in range(500)]
    meter = measured({"role": "assistant", "content": ""}, *map(make, texts), {})
    true = sum(map(len, texts))
    assert abs(meter.size - true) <= true / 25
    assert meter.tokens >= -(-meter.size // 4)


def test_a_picture_in_the_middle_is_no_text() -> None:
    deltas = [{"content": "word"}] * 40
    meter = measured(*deltas, {"images": [{"image_url": {"url": PICTURE}}]}, *deltas)
    assert meter.size == 80 * 4


def test_a_large_piece_in_the_middle_is_all_text() -> None:
    meter = measured(*[{"content": "word"}] * 40, {"content": WORDS})
    assert meter.size == 40 * 4 + 1250


def test_short_pieces_are_a_token_each() -> None:
    assert measured(*[{"content": "."}] * 30).tokens == 30


@pytest.mark.slow
@given(st.lists(st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.lists(inner)
       | st.dictionaries(st.text(), inner), max_leaves=rounds(30, 100))))  # fmt: skip
def test_anything_can_be_measured(deltas: list[object]) -> None:
    assert measured(*deltas).size >= 0


def test_lone_surrogates_are_text() -> None:
    meter = TextMeter()
    meter.event([Choice(msgspec.Raw(b'{"content":"\\ud83d"}'))], 300)
    assert meter.tokens > 0


@pytest.mark.parametrize(
    ("choices", "tokens"),
    [
        (None, 0),
        (b"null", 0),
        (b"[]", 0),
        (
            b'[{"index":0,"message":{"role":"assistant","content":"12345"},"finish_reason":"stop"}]',
            2,
        ),
        (b'[{"index":0,"text":"12345"},{"index":1,"text":"123"}]', 2),
        (b'[{"message":{"content":"\\ud83d"}}]', 1),
    ],
)
def test_answer_tokens(choices: bytes | None, tokens: int) -> None:
    assert answer_tokens(choices) == tokens


def test_arguments_with_half_a_character() -> None:
    for name in ("arguments", "args"):
        assert text_size({name: {"a": "\ud800"}}) > 8
        assert answer_tokens(b'[{"%b":{"a":"\\ud800"}}]' % name.encode()) > 2
