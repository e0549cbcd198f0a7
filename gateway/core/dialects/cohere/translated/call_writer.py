"""A canonical call as a chat in Cohere's API."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...base import ForeignRecipient
from ...canonical.call import CanonicalCall, Reasoning
from ...canonical.fidelity import Fidelity
from ...canonical.reading import number
from ...canonical.writing import leave_out, split_turns
from .message_writer import MessageWriter

_ENCODE: Final = msgspec.json.Encoder().encode
_NO_SCHEMA: Final = msgspec.Raw(b'{"type":"object","properties":{}}')
# Its penalties are 0 to 1, `p` 0.01 to 0.99, `k` up to 500 (`v2/raw_client.py`).
_PENALTIES: Final = ("presence_penalty", "frequency_penalty")
_MOST_P: Final = msgspec.Raw(b"0.99")
_MOST_K: Final = 500
# Tokens of thinking that stand for an effort: a greater one is as much as the model likes.
_BUDGETS: Final = {"minimal": 1024, "low": 2048, "medium": 8192}


def write_call(call: CanonicalCall, recipient: ForeignRecipient, fidelity: Fidelity) -> bytes:
    """Return the body of the request. Raises Untranslatable."""
    head, rest = split_turns(call.turns)
    # "response_format is not supported with RAG" (docs.cohere.com, "Errors").
    writer = MessageWriter(recipient, fidelity, inline=call.format is not None)
    body: dict[str, Any] = {
        "model": msgspec.Raw(recipient.model_json),
        "messages": writer.write([*head, *rest]),
        "stream": call.stream,
    }
    if writer.documents:
        body["documents"] = writer.documents
    for own in call.own_tools:
        fidelity.demand(own.path, "the API has no tools of its own")
    if call.tools:
        _put_tools(body, call, fidelity)
    if call.format is not None:
        _put_format(body, call, fidelity)
    if call.reasoning is not None:
        _put_reasoning(body, call, call.reasoning, recipient, fidelity)
    _put_sampling(body, call, fidelity)
    if call.user is not None:
        fidelity.hint(call.path("user"))
    if call.service_tier not in (None, "auto"):
        fidelity.hint(call.path("service_tier"))
    kept = dict.fromkeys(("seed", *_PENALTIES))
    leave_out(msgspec.structs.replace(call, **kept), fidelity, "Cohere's")
    return _ENCODE(body)


def _put_tools(body: dict[str, Any], call: CanonicalCall, fidelity: Fidelity) -> None:
    tools, choice = call.tools, call.choice
    if choice is not None and choice.names:
        # The tools that are allowed: the others are not shown, which is the same.
        tools = [each for each in tools if each.name in choice.names]
    written = []
    for tool in tools:
        function: dict[str, Any] = {"name": tool.name}
        if tool.description is not None:
            function["description"] = tool.description
        function["parameters"] = tool.schema or _NO_SCHEMA
        if tool.cache is not None:
            fidelity.hint("cache_control")
        written.append({"type": "function", "function": function})
    body["tools"] = written
    strict = [tool for tool in tools if tool.strict]
    if len(strict) == len(tools):
        # It is said of all of them or of none.
        body["strict_tools"] = True
    for tool in strict if len(strict) < len(tools) else ():
        fidelity.hint(f"{tool.path}.strict")
    if choice is not None and choice.mode != "auto":
        body["tool_choice"] = "NONE" if choice.mode == "none" else "REQUIRED"
    if call.parallel is False:
        fidelity.hint(call.path("parallel"))


def _put_format(body: dict[str, Any], call: CanonicalCall, fidelity: Fidelity) -> None:
    assert call.format is not None
    if "tools" in body:
        # `types/response_format_v2.py`, "Limitation".
        why = "Cohere's API takes no format beside tools"
        fidelity.demand(call.format.path, why)
        return
    schema = call.format.schema
    found = {"type": "json_object"}
    body["response_format"] = found if schema is None else {**found, "json_schema": schema}


def _put_reasoning(
    body: dict[str, Any],
    call: CanonicalCall,
    asked: Reasoning,
    recipient: ForeignRecipient,
    fidelity: Fidelity,
) -> None:
    if recipient.reasoning == "none":
        if not asked.off:
            fidelity.hint(asked.path)
        return
    if asked.off or asked.effort == "none":
        body["thinking"] = {"type": "disabled"}
        return
    thinking: dict[str, Any] = {"type": "enabled"}
    budget = asked.budget or _BUDGETS.get(asked.effort or "")
    if budget is not None and call.max_tokens is not None:
        # What is left of the answer is for its text.
        budget = min(budget, int(number(call.max_tokens, call.path("max_tokens"))) - 1)
    if budget is not None and budget > 0:
        thinking["token_budget"] = budget
    body["thinking"] = thinking


def _put_sampling(body: dict[str, Any], call: CanonicalCall, fidelity: Fidelity) -> None:
    for name in ("max_tokens", "temperature", "seed"):
        if (value := getattr(call, name)) is not None:
            body[name] = value
    if call.top_p is not None:
        body["p"] = _MOST_P if number(call.top_p, call.path("top_p")) > 0.99 else call.top_p
    if call.top_k is not None:
        most = number(call.top_k, call.path("top_k")) > _MOST_K
        body["k"] = _MOST_K if most else call.top_k
    for name in _PENALTIES:
        if (value := getattr(call, name)) is None:
            continue
        if 0 <= (given := number(value, call.path(name))) <= 1:
            if given:
                body[name] = value
        else:
            fidelity.demand(call.path(name), "Cohere's API takes 0 to 1")
    if call.stop:
        body["stop_sequences"] = call.stop
