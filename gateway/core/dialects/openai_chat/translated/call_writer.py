"""A canonical call as a chat completion request."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...base import ForeignRecipient
from ...canonical.call import CanonicalCall, Reasoning, Tool
from ...canonical.fidelity import Fidelity
from ...canonical.own_tools.tool import OwnTool
from ...canonical.reading import number
from ...model_terms import Effort
from .message_writer import write_messages

_ENCODE: Final = msgspec.json.Encoder().encode
_ASIS: Final = (
    *("temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs"),
    *("top_logprobs", "logit_bias"),
)
# What `temperature` and `top_p` are without a word.
USUAL_SAMPLING: Final = (b"1", b"1.0")
_NAMED: Final = {
    "cache_key": "prompt_cache_key",
    "cache_retention": "prompt_cache_retention",
    "safety_id": "safety_identifier",
    "verbosity": "verbosity",
    "metadata": "metadata",
    "seed": "seed",
}
# OpenAI's words for how fast an answer is wanted (`types/shared/service_tier.py`); others' are not
# known to it.
TIERS: Final = frozenset({"default", "flex", "scale", "priority", "fast", "ultrafast"})
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
    _put_tools(body, call, fidelity)
    if call.format is not None:
        body["response_format"] = _format(call)
    if call.reasoning is not None:
        _put_reasoning(body, call.reasoning, recipient, fidelity)
    _put_sampling(body, call, recipient, fidelity)
    if call.top_k is not None:
        fidelity.hint(call.path("top_k"))
    if call.answers is not None:
        body["n"] = call.answers
    if call.stop:
        body["stop"] = call.stop
    _put_rest(body, call, recipient, fidelity)
    return _ENCODE(body)


def _put_tools(body: dict[str, Any], call: CanonicalCall, fidelity: Fidelity) -> None:
    if call.tools:
        body["tools"] = [_tool(each, fidelity) for each in call.tools]
        _put_choice(body, call)
    for tool in call.own_tools:
        body["web_search_options"] = _search(tool, fidelity)


def _put_sampling(
    body: dict[str, Any], call: CanonicalCall, recipient: ForeignRecipient, fidelity: Fidelity
) -> None:
    left_out = unsampled(recipient, body.get("reasoning_effort"))
    for name in _ASIS:
        if (value := getattr(call, name)) is None:
            continue
        if name not in left_out:
            body[name] = value
        elif bytes(value) not in USUAL_SAMPLING:
            fidelity.hint(call.path(name))


def unsampled(recipient: ForeignRecipient, effort: str | None) -> tuple[str, ...]:
    """Return which of the sampling parameters the model does not take at such an effort."""
    takes = recipient.terms.sampling
    reasons = effort not in (None, "none")
    if takes == "none" or (takes == "unless_reasoning" and reasons):
        return ("temperature", "top_p")
    return ()


def _search(tool: OwnTool, fidelity: Fidelity) -> dict[str, Any]:
    """Return a web search as OpenAI's models for it are asked (`completion_create_params.py`)."""
    found: dict[str, Any] = {}
    if tool.context is not None:
        found["search_context_size"] = tool.context
    if tool.location is not None:
        found["user_location"] = {
            "type": "approximate",
            "approximate": msgspec.to_builtins(tool.location),
        }
    for name in ("allowed_domains", "blocked_domains"):
        if getattr(tool, name):
            fidelity.demand(f"{tool.path}.{name}", "this model searches all of the web")
    if tool.max_uses is not None:
        fidelity.hint(f"{tool.path}.max_uses")
    return found


def _put_rest(
    body: dict[str, Any], call: CanonicalCall, recipient: ForeignRecipient, fidelity: Fidelity
) -> None:
    refused = recipient.terms.refused
    if call.user is not None:
        if len(call.user) <= _LONGEST_USER and "user" not in refused:
            body["user"] = call.user
        else:
            fidelity.hint(call.path("user"))
    for name, shown in _NAMED.items():
        if (value := getattr(call, name)) is None:
            continue
        if shown in refused:
            fidelity.hint(call.path(name))
        else:
            body[shown] = value
    if call.service_tier in TIERS and "service_tier" not in refused:
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
    if call.parallel is False:
        # True is what it is without a word, and not all models take the word.
        body["parallel_tool_calls"] = False
    if choice is None or (choice.mode == "tool" and not choice.names):
        # A search that must be: the model searches for every request.
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
    body: dict[str, Any], asked: Reasoning, recipient: ForeignRecipient, fidelity: Fidelity
) -> None:
    if asked.shown_by:
        # Whether reasoning is shown: a chat shows what it has.
        fidelity.hint(asked.shown_by)
    if recipient.reasoning != "effort":
        if not asked.off:
            fidelity.hint(asked.path)
        return
    if asked.off:
        # `none` is newer than most models.
        body["reasoning_effort"] = recipient.terms.least_effort
        return
    # Without a word of how much, it is to think all the same.
    effort = effort_of(asked) or "medium"
    body["reasoning_effort"] = recipient.terms.effort(effort)


def effort_of(asked: Reasoning) -> Effort | None:
    """Return the effort that is asked for, in words or by a budget; None: it is not said."""
    if asked.effort is None and asked.budget is not None:
        return "low" if asked.budget <= _LOW else "medium" if asked.budget <= _MEDIUM else "high"
    return asked.effort
