"""A canonical call as a chat completion request."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...base import ForeignRecipient
from ...canonical.call import CanonicalCall, Reasoning, Tool
from ...canonical.fidelity import Fidelity
from ...canonical.reading import number
from .message_writer import write_messages

_ENCODE: Final = msgspec.json.Encoder().encode
_ASIS: Final = (
    *("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "logprobs"),
    *("top_logprobs", "logit_bias", "metadata"),
)
_NAMED: Final = {
    "cache_key": "prompt_cache_key",
    "cache_retention": "prompt_cache_retention",
    "safety_id": "safety_identifier",
    "verbosity": "verbosity",
}
# OpenAI's words for how fast an answer is wanted (`types/shared/service_tier.py`); others' are not
# known to it.
TIERS: Final = frozenset({"default", "flex", "scale", "priority", "fast", "ultrafast"})
# Servers differ in how far beyond `high` they go; all have this.
_EFFORTS: Final = {"max": "high", "xhigh": "high"}
# Tokens up to which a budget is a low or a medium effort, as OpenRouter maps them.
_LOW: Final = 4096
_MEDIUM: Final = 16384
# platform.openai.com/docs/api-reference/chat/create: `safety_identifier`, the successor of `user`.
_LONGEST_USER: Final = 64


def write_call(call: CanonicalCall, recipient: ForeignRecipient, fidelity: Fidelity) -> bytes:
    """Return the body of the request. Raises Untranslatable."""
    messages = write_messages(call.turns, recipient, fidelity)
    body: dict[str, Any] = {"model": msgspec.Raw(recipient.model_json), "messages": messages}
    if call.stream:
        body["stream"] = True
        if recipient.stream_usage:
            body["stream_options"] = {"include_usage": True}
    reasons = recipient.reasoning == "effort"
    if call.max_tokens is not None:
        # OpenAI's reasoning models take the new name only, and other servers the old one.
        name = "max_completion_tokens" if reasons else "max_tokens"
        body[name] = _limited(call, recipient)
    if call.tools:
        body["tools"] = [_tool(each, fidelity) for each in call.tools]
        _put_choice(body, call)
    if call.format is not None:
        body["response_format"] = _format(call)
    if call.reasoning is not None:
        _put_reasoning(body, call.reasoning, fidelity, takes=reasons)
    for name in _ASIS:
        if (value := getattr(call, name)) is not None:
            body[name] = value
    if call.top_k is not None:
        fidelity.hint(call.path("top_k"))
    if call.answers is not None:
        body["n"] = call.answers
    if call.stop:
        body["stop"] = call.stop
    _put_rest(body, call, fidelity)
    return _ENCODE(body)


def _put_rest(body: dict[str, Any], call: CanonicalCall, fidelity: Fidelity) -> None:
    if call.user is not None:
        if len(call.user) <= _LONGEST_USER:
            body["user"] = call.user
        else:
            fidelity.hint(call.path("user"))
    for name, shown in _NAMED.items():
        if (value := getattr(call, name)) is not None:
            body[shown] = value
    if call.service_tier in TIERS:
        body["service_tier"] = call.service_tier
    elif call.service_tier not in (None, "auto"):
        fidelity.hint(call.path("service_tier"))


def _limited(call: CanonicalCall, recipient: ForeignRecipient) -> msgspec.Raw:
    assert call.max_tokens is not None
    most = recipient.max_output_tokens
    if most is not None and number(call.max_tokens, call.path("max_tokens")) > most:
        return msgspec.Raw(b"%d" % most)
    return call.max_tokens


def _tool(tool: Tool, fidelity: Fidelity) -> dict[str, Any]:
    if tool.cache is not None:
        fidelity.hint("cache_control")
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.schema is not None:
        function["parameters"] = tool.schema
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _put_choice(body: dict[str, Any], call: CanonicalCall) -> None:
    choice = call.choice
    if call.parallel is not None:
        body["parallel_tool_calls"] = call.parallel
    if choice is None:
        return
    if choice.mode == "tool":
        body["tool_choice"] = {"type": "function", "function": {"name": choice.names[0]}}
        return
    if choice.names:
        body["tools"] = [tool for tool in body["tools"] if tool["function"]["name"] in choice.names]
    body["tool_choice"] = "required" if choice.mode == "any" else choice.mode


def _format(call: CanonicalCall) -> dict[str, Any]:
    format_ = call.format
    assert format_ is not None
    if format_.schema is None:
        return {"type": "json_object"}
    strict = {} if format_.strict is None else {"strict": format_.strict}
    schema = {"name": format_.name, "schema": format_.schema, **strict}
    return {"type": "json_schema", "json_schema": schema}


def _put_reasoning(
    body: dict[str, Any], asked: Reasoning, fidelity: Fidelity, *, takes: bool
) -> None:
    if not takes:
        if not asked.off:
            fidelity.hint(asked.path)
        return
    if asked.off:
        # The least that all of them know; `none` is newer than most models.
        body["reasoning_effort"] = "minimal" if asked.effort is None else asked.effort
        return
    effort = asked.effort
    if effort is None and asked.budget is not None:
        effort = "low" if asked.budget <= _LOW else "medium" if asked.budget <= _MEDIUM else "high"
    elif effort is None:
        # It is to think; how much is not said.
        effort = "medium"
    if effort is not None:
        body["reasoning_effort"] = _EFFORTS.get(effort, effort)
