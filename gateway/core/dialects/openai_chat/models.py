"""The list of models (platform.openai.com/docs/api-reference/models)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ..base import ModelEntry

_ENCODE: Final = msgspec.json.Encoder().encode


def model_list(entries: Sequence[ModelEntry]) -> bytes:
    return _ENCODE({"object": "list", "data": [_model(entry) for entry in entries]})


def model_entry(entry: ModelEntry) -> bytes:
    return _ENCODE(_model(entry))


def _model(entry: ModelEntry) -> dict[str, Any]:
    """Return the entry; all four members are required by OpenAI's SDK."""
    return {
        "id": entry.name,
        "object": "model",
        "created": entry.created,
        "owned_by": entry.owner,
    }
