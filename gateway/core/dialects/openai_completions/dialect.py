"""The dialect of OpenAI's legacy completions, its parts put together."""

from __future__ import annotations

from typing import Final

from ..base import Dialect, DialectRequest
from ..openai_chat.dialect import OpenAIDialect
from .request import parse_text


class OpenAICompletions(OpenAIDialect):
    """`POST /v1/completions`, which LlamaIndex's OpenAILike and code editors still use."""

    name = "openai_completions"
    operation = "completions"
    path = "/v1/completions"

    def read_request(self, body: bytes) -> DialectRequest:
        return parse_text(body)


OPENAI_COMPLETIONS: Final[Dialect] = OpenAICompletions()
