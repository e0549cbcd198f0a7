"""The list of models, in pages (ai.google.dev/api/models, "Method: models.list")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from ....errors import InvalidRequest
from ..base import ModelEntry

_ENCODE: Final = msgspec.json.Encoder().encode
_SIZE: Final = 50
_MOST: Final = 1000
_METHODS: Final = (
    *("generateContent", "streamGenerateContent", "countTokens"),
    *("embedContent", "batchEmbedContents"),
)


def model_list(entries: Sequence[ModelEntry], query: str) -> bytes:
    """Return the page that `query` asks for. Raises InvalidRequest (400)."""
    asked = {name: values[-1] for name, values in parse_qs(query).items()}
    size = min(_number(asked, "pageSize", "page_size") or _SIZE, _MOST)
    # A token is the number of the first that is not shown yet.
    start = _number(asked, "pageToken", "page_token")
    page = entries[start : start + size]
    found: dict[str, Any] = {"models": [_model(each) for each in page]}
    if start + size < len(entries):
        found["nextPageToken"] = str(start + size)
    return _ENCODE(found)


def model_entry(entry: ModelEntry) -> bytes:
    return _ENCODE(_model(entry))


def _number(asked: dict[str, str], *names: str) -> int:
    for name in names:
        given = asked.get(name)
        if given is None:
            continue
        if not (given.isascii() and given.isdigit() and len(given) < 8):
            raise InvalidRequest(f"{name} is not one that there is", param=name)
        return int(given)
    return 0


def _model(entry: ModelEntry) -> dict[str, Any]:
    """Return the entry. What the gateway does not know, such as limits, is left out."""
    return {
        "name": resource_name(entry.name),
        "version": "",
        "displayName": entry.name,
        "description": f"served by {entry.owner}",
        "supportedGenerationMethods": _METHODS,
    }


def resource_name(model: str) -> str:
    """Return the name of a model as Google's API has it."""
    return model if model.startswith("tunedModels/") else f"models/{model}"
