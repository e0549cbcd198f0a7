from __future__ import annotations

import pytest

from gateway.core.dialects.openai_numbers.dialect import (
    MODERATION_MODEL,
    OPENAI_EMBEDDINGS,
    OPENAI_MODERATIONS,
)
from gateway.errors import InvalidRequest


def test_each_has_a_path_of_its_own() -> None:
    assert OPENAI_EMBEDDINGS.target(b"/v1", "real", stream=False) == b"/v1/embeddings"
    assert OPENAI_MODERATIONS.target(b"/api/v1", "real", stream=False) == b"/api/v1/moderations"
    assert OPENAI_EMBEDDINGS.name != OPENAI_MODERATIONS.name


def test_only_moderations_need_no_model() -> None:
    assert OPENAI_MODERATIONS.read_request(b'{"input":"x"}').model == MODERATION_MODEL
    with pytest.raises(InvalidRequest):
        OPENAI_EMBEDDINGS.read_request(b'{"input":"x"}')
