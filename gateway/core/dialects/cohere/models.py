"""The models as Cohere lists them (`types/list_models_response.py`, `get_model_response.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ..base import ModelEntry

_ENCODE: Final = msgspec.json.Encoder().encode


def model_list(entries: Sequence[ModelEntry]) -> bytes:
    """Return the whole list: there is no further page of it."""
    return _ENCODE({"models": [_listed(each) for each in entries]})


def model_entry(entry: ModelEntry) -> bytes:
    return _ENCODE(_listed(entry))


def _listed(entry: ModelEntry) -> dict[str, Any]:
    # For what a model can be asked is not known here: whoever filters by it finds it in all.
    return {"name": entry.name, "endpoints": ["chat", "embed", "rerank"], "finetuned": False}
