"""Efforts of reasoning, for models that know other words than the caller's."""

from __future__ import annotations

import pytest

from gateway.core.dialects.model_terms import Effort, ModelTerms


@pytest.mark.parametrize(
    ("efforts", "asked", "expected"),
    [
        (("low", "medium", "high"), "minimal", "low"),
        (("low", "medium", "high"), "none", "low"),
        (("low", "medium", "high"), "max", "high"),
        (("minimal", "low", "medium", "high"), "minimal", "minimal"),
        (("none", "low", "medium", "high", "xhigh"), "max", "xhigh"),
        (("low", "high"), "medium", "high"),
        (("high",), "low", "high"),
    ],
)
def test_the_nearest_effort(efforts: tuple[Effort, ...], asked: Effort, expected: Effort) -> None:
    assert ModelTerms(efforts=efforts).effort(asked) == expected
