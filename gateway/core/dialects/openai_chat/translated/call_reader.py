"""A chat completion request, read (openai-python `types/chat/completion_create_params.py`)."""

from __future__ import annotations

from typing import Final

import msgspec

from .....errors import InvalidRequest
from ...canonical.call import CanonicalCall
from ...canonical.fidelity import Fidelity
from ...canonical.reading import Fields, fields_of, is_text, is_true, items_of, member_text, text_of
from .message_reader import read_messages
from .option_reader import read_choice, read_format, read_reasoning, read_tools

_Raw = msgspec.Raw

# Read here or by the caller's own reader.
_KNOWN: Final = frozenset(
    {
        *("model", "messages", "stream", "stream_options", "tools", "functions", "tool_choice"),
        *("function_call", "parallel_tool_calls", "response_format", "reasoning_effort"),
        *("reasoning", "thinking", "max_tokens", "max_completion_tokens", "temperature", "top_p"),
        *("top_k", "presence_penalty", "frequency_penalty", "seed", "logprobs", "top_logprobs"),
        *("logit_bias", "n", "stop", "user", "metadata", "service_tier", "prompt_cache_key"),
        *("prompt_cache_retention", "safety_identifier", "verbosity", "web_search_options"),
    }
)
# Harmless: what OpenAI's own books need, and preferences of speed.
_HINTS: Final = frozenset(
    {
        *("store", "prediction", "prompt_cache_options", "include_reasoning"),
    }
)
# Members that ask for nothing with these values, as some clients send them all.
_NOTHING: Final = {
    "modalities": frozenset({b'["text"]'}),
    "min_p": frozenset({b"0", b"0.0"}),
    "repetition_penalty": frozenset({b"1", b"1.0"}),
    "store": frozenset({b"false"}),
}
_PATHS: Final = {
    "parallel": "parallel_tool_calls",
    "format": "response_format",
    "answers": "n",
    "cache_key": "prompt_cache_key",
    "cache_retention": "prompt_cache_retention",
    "safety_id": "safety_identifier",
}


def read_call(body: bytes, fidelity: Fidelity) -> CanonicalCall:
    """Return the request in `body`. Raises InvalidRequest (400) and Untranslatable."""
    fields = fields_of(body, "")
    for name in sorted(fields.keys() - _KNOWN):
        if bytes(fields[name]) in _NOTHING.get(name, ()):
            continue
        if name in _HINTS:
            fidelity.hint(name)
        else:
            fidelity.demand(name, "the API of this model's provider has nothing like it")
    if "messages" not in fields:
        raise InvalidRequest("you must provide messages", param="messages")
    limit = "max_completion_tokens" if "max_completion_tokens" in fields else "max_tokens"
    parallel = fields.get("parallel_tool_calls")
    tools, own_tools = read_tools(fields)
    return CanonicalCall(
        turns=read_messages(fields["messages"], fidelity),
        stream=is_true(fields.get("stream")),
        tools=tools,
        own_tools=own_tools,
        choice=read_choice(fields, fidelity),
        parallel=None if parallel is None else is_true(parallel),
        format=read_format(fields, fidelity),
        reasoning=read_reasoning(fields),
        max_tokens=fields.get(limit),
        temperature=fields.get("temperature"),
        top_p=fields.get("top_p"),
        top_k=fields.get("top_k"),
        presence_penalty=fields.get("presence_penalty"),
        frequency_penalty=fields.get("frequency_penalty"),
        seed=fields.get("seed"),
        logprobs=fields.get("logprobs"),
        top_logprobs=fields.get("top_logprobs"),
        logit_bias=fields.get("logit_bias"),
        answers=fields.get("n"),
        stop=_stop(fields),
        user=member_text(fields, "user", "", "") or None,
        metadata=fields.get("metadata"),
        service_tier=member_text(fields, "service_tier", "", "") or None,
        cache_key=member_text(fields, "prompt_cache_key", "", "") or None,
        cache_retention=member_text(fields, "prompt_cache_retention", "", "") or None,
        safety_id=member_text(fields, "safety_identifier", "", "") or None,
        verbosity=member_text(fields, "verbosity", "", "") or None,
        paths=_PATHS | {"max_tokens": limit},
    )


def _stop(fields: Fields) -> list[str]:
    if "stop" not in fields:
        return []
    raw = fields["stop"]
    given = [raw] if is_text(raw) else items_of(raw, "stop")
    return [text_of(each, "stop") for each in given]
