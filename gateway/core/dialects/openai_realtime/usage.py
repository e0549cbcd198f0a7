"""What an answer of a session took.

Realtime writes `input_token_details` where Responses has `input_tokens_details`, and says how much
of the cached input was sound: `cached_tokens_details` (API reference, `response.done`).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...records.usage import Usage
from ..openai_chat.usage.reports import UsageReports

_DECODER: Final = msgspec.json.Decoder(dict[str, Any])
_INPUT: Final = "input_token_details"
_CACHED: Final = "cached_tokens_details"
_AUDIO: Final = "audio_tokens"


def session_usage(raw: msgspec.Raw | bytes) -> Usage | None:
    """Return a `usage`; None if it counts nothing."""
    try:
        found = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    reports = UsageReports()
    reports.add_found(found)
    usage = reports.usage
    details = found.get(_INPUT)
    cached = details.get(_CACHED) if isinstance(details, dict) else None
    sound = cached.get(_AUDIO) if isinstance(cached, dict) else None
    if usage is None or type(sound) is not int or not 0 < sound <= usage.cached_tokens:
        return usage
    return msgspec.structs.replace(usage, cached_audio_tokens=sound)
