"""The list of a provider's models, as it answers `GET /models`, whichever form it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

# {"data": [{"id": ...}]}         OpenAI, Anthropic and nearly all others
# [{"id": ...}]                   Together
# {"models": [{"name": ...}]}     Ollama, Cohere, Gemini ("models/gemini-2.5-pro")
# {"modelSummaries": [{"modelId": ...}]}     Bedrock
_LISTS: Final = ("data", "models", "result", "modelSummaries")
_NAMES: Final = ("id", "name", "model", "modelId")


def read_models(body: bytes) -> list[str]:
    """Return the names in an answer, each once; none for an answer that has no such list."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    return list(dict.fromkeys(_names(found)))


def _names(found: Any) -> Iterator[str]:
    if isinstance(found, dict):
        found = next((found[key] for key in _LISTS if isinstance(found.get(key), list)), ())
    for each in found if isinstance(found, list | tuple) else ():
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            name = next((each[key] for key in _NAMES if isinstance(each.get(key), str)), "")
            if name and name.isprintable():
                yield name.removeprefix("models/")
