"""The list of models, in pages (docs.anthropic.com/en/api/models-list)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from ....errors import InvalidRequest
from ..base import ModelEntry

_ENCODE: Final = msgspec.json.Encoder().encode
_LIMIT: Final = 20
_MOST: Final = 1000


def model_list(entries: Sequence[ModelEntry], query: str) -> bytes:
    """Return the page that `query` asks for. Raises InvalidRequest (400)."""
    asked = {name: values[-1] for name, values in parse_qs(query).items()}
    limit = _limit(asked.get("limit"))
    page = list(entries)
    if (after := asked.get("after_id")) is not None:
        page = page[_index(page, after, "after_id") + 1 :]
        more = len(page) > limit
        page = page[:limit]
    elif (before := asked.get("before_id")) is not None:
        page = page[: _index(page, before, "before_id")]
        more = len(page) > limit
        page = page[-limit:]
    else:
        more = len(page) > limit
        page = page[:limit]
    return _ENCODE(
        {
            "data": [_model(each) for each in page],
            "first_id": page[0].name if page else None,
            "last_id": page[-1].name if page else None,
            "has_more": more,
        }
    )


def model_entry(entry: ModelEntry) -> bytes:
    return _ENCODE(_model(entry))


def _limit(given: str | None) -> int:
    if given is None:
        return _LIMIT
    if not (given.isascii() and given.isdigit() and len(given) < 8) or not 1 <= int(given) <= _MOST:
        raise InvalidRequest(f"limit must be a whole number from 1 to {_MOST}", param="limit")
    return int(given)


def _index(entries: Sequence[ModelEntry], name: str, param: str) -> int:
    for number, entry in enumerate(entries):
        if entry.name == name:
            return number
    raise InvalidRequest(f"{param} is not the id of a model", param=param)


def _model(entry: ModelEntry) -> dict[str, Any]:
    """Return the entry; these members are required by Anthropic's SDK (`types/model_info.py`)."""
    created = datetime.fromtimestamp(entry.created, UTC)
    return {
        "type": "model",
        "id": entry.name,
        # Claude Code shows it in its list of models.
        "display_name": entry.name,
        "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
    }
