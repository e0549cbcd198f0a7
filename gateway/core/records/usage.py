"""Token counts, whichever dialect they are reported in."""

from __future__ import annotations

import msgspec


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one answer, and what the provider says it cost.

    `cached_tokens` (read from the provider's cache), `cache_write_tokens`, `input_audio_tokens`
    and `input_image_tokens` are part of `input_tokens`, `cache_write_1h_tokens` (to be kept for an
    hour) of `cache_write_tokens`; `reasoning_tokens`, `output_audio_tokens`
    and `output_image_tokens` are part of `output_tokens`, as OpenAI counts. `reported_cost` is in
    nano-dollars.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0
    input_audio_tokens: int = 0
    input_image_tokens: int = 0
    output_audio_tokens: int = 0
    output_image_tokens: int = 0
    reported_cost: int | None = None
    cache_write_1h_tokens: int = 0

    @property
    def total(self) -> int:
        """Return all tokens. Zero is no report: a prompt has one token at the least."""
        return self.input_tokens + self.output_tokens

    def with_prompt(self, tokens: int) -> Usage:
        """Return the usage of an answer to a prompt of about `tokens`, if it does not say."""
        if self.input_tokens or not tokens:
            return self
        return msgspec.structs.replace(self, input_tokens=tokens)

    def with_text(self, tokens: int, *, whole: bool) -> Usage:
        """Return the usage of an answer of which about `tokens` of text came out.

        The counts of an answer that came `whole` are final, but for an output of nothing beside
        text. One that was left may have reported less than was made: its prompt alone, or a
        running total of some events ago.
        """
        if tokens <= self.output_tokens or (whole and self.output_tokens):
            return self
        return msgspec.structs.replace(self, output_tokens=tokens)
