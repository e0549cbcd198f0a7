"""What a body has to be changed in for a provider with `quirks`."""

from __future__ import annotations

from ...core.dialects.openai_chat.tool_ids import with_short_ids
from ...core.wire.body_fit import BodyFit
from .hints import HINTS, NEUTRAL, NEUTRAL_OF
from .settings import Quirks


def fit_of(quirks: Quirks) -> BodyFit | None:
    """Return None where a body goes as it is."""
    if not (quirks.refuses or quirks.renames or quirks.tool_ids or quirks.max_body_bytes):
        return None
    return BodyFit(
        refuses=frozenset(quirks.refuses),
        hints=HINTS,
        neutral=_is_neutral,
        renames=quirks.renames,
        rewrite=None if quirks.tool_ids is None else with_short_ids,
        most_bytes=quirks.max_body_bytes,
    )


def _is_neutral(name: str, value: bytes) -> bool:
    return value in NEUTRAL or value in NEUTRAL_OF.get(name, ())
