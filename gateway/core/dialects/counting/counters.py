"""The counters of each API that has one.

    MessageCounter     docs.anthropic.com, "Token counting"
    ContentCounter     ai.google.dev/api/tokens: the request inside of another one
    PlainContent       the same on Vertex AI, where members stand by themselves
    ResponsesCounter   openai-python `resources/responses/input_tokens.py`
    ConverseCounter    botocore's model of bedrock-runtime, CountTokens

Each refuses members that it does not know, so a chat's are taken out that say how its answer is to
be, and not what the model reads. Cohere's `tokenize` counts a text and no chat, so it is none.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final

import msgspec

from ...wire.splice import members, splice
from ..anthropic_messages.dialect import ANTHROPIC_MESSAGES
from ..base import Dialect
from ..bedrock_converse.dialect import BEDROCK_CONVERSE
from ..gemini.dialect import GEMINI
from ..gemini.models import resource_name
from ..openai_responses.dialect import OPENAI_RESPONSES
from .counter import PromptCounter

_ENCODE: Final = msgspec.json.Encoder().encode
_NAME: Final = msgspec.json.Decoder(str)


class _Count(msgspec.Struct):
    """By each API's name of it."""

    input_tokens: int | None = None
    totalTokens: int | None = None  # noqa: N815
    inputTokens: int | None = None  # noqa: N815


_COUNT: Final = msgspec.json.Decoder(_Count)


def _counted(answer: bytes) -> int:
    found = _COUNT.decode(answer)
    for tokens in (found.input_tokens, found.totalTokens, found.inputTokens):
        if tokens is not None and tokens >= 0:
            return tokens
    raise ValueError("the answer has no number of tokens")


def _only(body: bytes, names: AbstractSet[str]) -> bytes:
    """Return `body` with the members `names` alone."""
    found = members(body)
    others = {each.key for each in found} - names
    return splice(body, remove=others, known=found) if others else body


class MessageCounter:
    """See `counter.PromptCounter`."""

    dialect: Dialect = ANTHROPIC_MESSAGES
    # Everything else goes on: it may belong to a beta in the headers.
    _OF_THE_ANSWER: Final = (
        *("max_tokens", "stream", "temperature", "top_p", "top_k", "stop_sequences"),
        *("metadata", "service_tier", "inference_geo", "container"),
    )

    def body(self, chat: bytes, model_json: bytes) -> bytes:
        return splice(chat, put={"model": model_json}, remove=self._OF_THE_ANSWER)

    def tokens(self, answer: bytes) -> int:
        return _counted(answer)


class ContentCounter:
    """See `counter.PromptCounter`."""

    dialect: Dialect = GEMINI

    def body(self, chat: bytes, model_json: bytes) -> bytes:
        name = _ENCODE(resource_name(_NAME.decode(model_json)))
        return b'{"generateContentRequest":%b}' % splice(chat, put={"model": name})

    def tokens(self, answer: bytes) -> int:
        return _counted(answer)


class PlainContent(ContentCounter):
    """cloud.google.com/vertex-ai/generative-ai/docs/model-reference/count-tokens."""

    _COUNTED: Final = frozenset(
        {
            *("contents", "systemInstruction", "system_instruction", "tools"),
            *("generationConfig", "generation_config"),
        }
    )

    def body(self, chat: bytes, model_json: bytes) -> bytes:
        return _only(chat, self._COUNTED)


class ResponsesCounter:
    """See `counter.PromptCounter`."""

    dialect: Dialect = OPENAI_RESPONSES
    _COUNTED: Final = frozenset(
        {
            *("model", "input", "instructions", "tools", "tool_choice", "text", "reasoning"),
            *("conversation", "previous_response_id", "parallel_tool_calls", "truncation"),
        }
    )

    def body(self, chat: bytes, model_json: bytes) -> bytes:
        return splice(_only(chat, self._COUNTED), put={"model": model_json})

    def tokens(self, answer: bytes) -> int:
        return _counted(answer)


class ConverseCounter:
    """See `counter.PromptCounter`."""

    dialect: Dialect = BEDROCK_CONVERSE
    _COUNTED: Final = frozenset(
        {"messages", "system", "toolConfig", "additionalModelRequestFields"}
    )

    def body(self, chat: bytes, model_json: bytes) -> bytes:
        return b'{"input":{"converse":%b}}' % _only(chat, self._COUNTED)

    def tokens(self, answer: bytes) -> int:
        return _counted(answer)


MESSAGES: Final[PromptCounter] = MessageCounter()
CONTENT: Final[PromptCounter] = ContentCounter()
PLAIN_CONTENT: Final[PromptCounter] = PlainContent()
INPUT_TOKENS: Final[PromptCounter] = ResponsesCounter()
CONVERSE: Final[PromptCounter] = ConverseCounter()
