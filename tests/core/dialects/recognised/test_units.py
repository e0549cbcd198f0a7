"""What is billed by the character, the second or the image."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from gateway.core.dialects.recognised.units import unit_counter
from gateway.core.records.pricing import FREE, Prices, cost
from gateway.core.records.usage import Usage

FLAT = Prices(units=(("image", Decimal("0.04")),))
SIZED = Prices(
    units=(
        ("image 1024x1024", Decimal("0.009")),
        ("image high/1024x1536", Decimal("0.25")),
        ("character", Decimal("0.000015")),
        ("second", Decimal("0.0001")),
    )
)


def images(count: int, **more: Any) -> bytes:
    shown = [{"b64_json": "aGk="}, {"url": "https://x/y"}]
    return json.dumps({"data": [shown[n % 2] for n in range(count)], **more}).encode()


def nano(
    operation: str, asked: dict[str, Any], answer: bytes, prices: Prices = SIZED
) -> int | None:
    found = set()
    for size in (1, 7, 10_000):
        counter = unit_counter(operation, json.dumps(asked).encode() if asked else b"")
        assert counter is not None
        for start in range(0, len(answer), size):
            counter.feed(answer[start : start + size])
        usage = counter.usage(None, prices, whole=True)
        found.add(None if usage is None else cost(usage, prices))
        assert counter.usage(None, prices, whole=False) is None
    assert len(found) == 1, found
    return found.pop()


@pytest.mark.parametrize(
    ("operation", "asked", "answer", "nano_usd"),
    [
        ("images", {"size": "1024x1024"}, images(2), 18_000_000),
        ("images", {"size": "1024x1536", "quality": "high"}, images(3), 750_000_000),
        ("images", {"size": "9x9", "quality": "low"}, images(1), None),
        ("images", {}, images(1), None),
        ("images", {}, b'{"data":[],"text":"\\"url\\": \\"x\\""}', None),
        ("speech", {"input": "na\u00efve \U0001f600"}, b"ID3", 105_000),
        ("transcriptions", {}, b'{"text":"x","usage":{"type":"duration","seconds":9}}', 900_000),
        ("translations", {}, b'{"usage": {"type": "duration", "seconds": 1.5}}', 150_000),
        ("transcriptions", {}, b'{"text":"\\"usage\\":{\\"type\\":\\"duration\\"}"}', None),
        ("transcriptions", {}, b"just text", None),
    ],
)
def test_units(operation: str, asked: dict[str, Any], answer: bytes, nano_usd: int | None) -> None:
    assert nano(operation, asked, answer) == nano_usd


def test_an_image_of_any_size_at_one_price() -> None:
    stream = (
        b'data: {"type":"image_generation.partial_image","b64_json":"aGk="}\n\n'
        b'data: {"type":"image_generation.completed","b64_json":"aGk="}\n\n'
    )
    assert nano("images", {"size": "9x9", "quality": "low"}, images(2), FLAT) == 80_000_000
    assert nano("image_edits", {}, images(2), FLAT) == 80_000_000
    assert nano("image_variations", {}, images(1), FLAT) == 40_000_000
    assert nano("images", {"stream": True}, stream, FLAT) == 40_000_000


def test_without_a_price_the_cost_is_not_known() -> None:
    assert nano("images", {}, images(1), Prices(input=1, output=1)) is None
    assert nano("speech", {"input": "abc"}, b"", Prices()) is None
    assert nano("images", {}, images(1), FREE) == 0
    only_small = Prices(units=(("image 1x1", 1),))
    assert nano("images", {"size": "2x2"}, images(1), only_small) is None


def test_tokens_go_before_units() -> None:
    prices = Prices(input=5, output_image=40, units=(("image", 1),))
    counter = unit_counter("images", b"{}")
    assert counter is not None
    counter.feed(images(1))
    # All of the answer is an image, and text has no price of its own.
    usage = counter.usage(Usage(10, 1000), prices, whole=True)
    assert usage == Usage(10, 1000, output_image_tokens=1000)
    assert cost(usage, prices) == (10 * 5 + 1000 * 40) * 1000
    text = Prices(input=5, output=10, output_image=40)
    assert counter.usage(Usage(10, 1000), text, whole=True) == Usage(10, 1000)


def test_other_operations_have_none() -> None:
    assert unit_counter("chat", b"{}") is None
    assert unit_counter("speech", b'{"input":7}') is None
    assert unit_counter("speech", b"no JSON") is None
