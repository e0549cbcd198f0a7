"""The models as Ollama lists them (api/types.go, `ListModelResponse`, `ShowResponse`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from ..base import ModelEntry

_ENCODE: Final = msgspec.json.Encoder().encode
# What is known of no model here: clients show it, and fail where it is absent.
_DETAILS: Final[dict[str, Any]] = {
    "parent_model": "",
    "format": "",
    "family": "",
    "families": None,
    "parameter_size": "",
    "quantization_level": "",
}
_CAPABILITIES: Final = ("completion", "tools", "vision")


def model_list(entries: Sequence[ModelEntry]) -> bytes:
    """Return the answer to `/api/tags`."""
    return _ENCODE({"models": [_listed(each) for each in entries]})


def model_shown(entry: ModelEntry) -> bytes:
    """Return the answer to `/api/show`."""
    return _ENCODE(
        {
            "modelfile": "",
            "parameters": "",
            "template": "",
            "details": _DETAILS | {"family": entry.owner},
            "model_info": {},
            "capabilities": _CAPABILITIES,
            "modified_at": _date(entry.created),
        }
    )


def _listed(entry: ModelEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "model": entry.name,
        "modified_at": _date(entry.created),
        "size": 0,
        "digest": "",
        "details": _DETAILS | {"family": entry.owner},
    }


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
