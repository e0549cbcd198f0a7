"""Token counts, whichever dialect they are reported in."""

from __future__ import annotations

import msgspec


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one answer. `cached_tokens` are part of `input_tokens` and
    `reasoning_tokens` of `output_tokens`, as OpenAI counts."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
