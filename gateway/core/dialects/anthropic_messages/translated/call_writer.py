"""A canonical call as a request for a message."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...base import ForeignRecipient
from ...canonical.call import CanonicalCall, ToolResult, Turn
from ...canonical.fidelity import Fidelity
from ...canonical.reading import number
from ...canonical.writing import forget_citations, goes_on_unthought, leave_out, split_turns
from .block_writer import FAMILY, write_blocks
from .cache_marks import mark
from .own_tools import write_search

_ENCODE: Final = msgspec.json.Encoder().encode
_NO_SCHEMA: Final = msgspec.Raw(b'{"type":"object","properties":{}}')
# The smallest budget of manual thinking, and what stands for an effort (docs.anthropic.com,
# "Extended thinking"); the efforts are those of the other APIs.
_LEAST_BUDGET: Final = 1024
_BUDGETS: Final = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384}
_MOST_BUDGET: Final = 32000
# Anthropic's range is 0 to 1 (`types/message_create_params.py`).
_HOTTEST: Final = 1.0


def write_call(call: CanonicalCall, recipient: ForeignRecipient, fidelity: Fidelity) -> bytes:
    """Return the body of the request. Raises Untranslatable."""
    body: dict[str, Any] = {"model": msgspec.Raw(recipient.model_json)}
    if call.format is not None:
        # "Citations are incompatible with structured outputs" (docs.anthropic.com).
        forget_citations(call.turns, fidelity)
    head, rest = split_turns(call.turns)
    system = [block for turn in head for block in write_blocks(turn.blocks, turn.path, fidelity)]
    if system:
        plain = len(system) == 1 and system[0].keys() == {"type", "text"}
        body["system"] = system[0]["text"] if plain else system
    body["messages"] = _messages(rest, fidelity)
    limit = _max_tokens(call, recipient)
    body["max_tokens"] = limit
    if call.stream:
        body["stream"] = True
    tools = [_tool(each) for each in call.tools]
    tools += [write_search(each, fidelity) for each in call.own_tools]
    if tools:
        body["tools"] = tools
        _put_choice(body, call, fidelity)
    _put_reasoning(body, call, recipient, fidelity, int(number(limit, "max_tokens")))
    _put_sampling(body, call, recipient, fidelity)
    _put_format(body, call, fidelity)
    if call.user is not None:
        body["metadata"] = {"user_id": call.user}
    if call.service_tier not in (None, "auto"):
        fidelity.hint(call.path("service_tier"))
    leave_out(call, fidelity, "Anthropic's")
    if recipient.caches_prompts:
        mark(body)
    return _ENCODE(body)


def _messages(turns: list[Turn], fidelity: Fidelity) -> list[dict[str, Any]]:
    """Return the messages; results of one answer's calls go into one message of the user."""
    found: list[dict[str, Any]] = []
    results = False
    for turn in turns:
        blocks = write_blocks(turn.blocks, turn.path, fidelity)
        if not blocks:
            continue
        role = "system" if turn.role == "developer" else turn.role
        goes_on = results and role == "user"
        results = role == "user" and any(isinstance(each, ToolResult) for each in turn.blocks)
        if goes_on:
            # All results of parallel calls must stand in the next message, before other blocks.
            found[-1]["content"] += blocks
            results = True
            continue
        found.append({"role": role, "content": blocks})
    for message in found:
        content = message["content"]
        if len(content) == 1 and content[0].keys() == {"type", "text"}:
            message["content"] = content[0]["text"]
    return found


def _max_tokens(call: CanonicalCall, recipient: ForeignRecipient) -> msgspec.Raw:
    limit = call.max_tokens
    most = recipient.max_output_tokens
    if limit is None:
        return msgspec.Raw(b"%d" % recipient.default_max_tokens)
    if most is not None and number(limit, call.path("max_tokens")) > most:
        return msgspec.Raw(b"%d" % most)
    return limit


def _tool(tool: Any) -> dict[str, Any]:
    found = {"name": tool.name}
    if tool.description is not None:
        found["description"] = tool.description
    found["input_schema"] = tool.schema or _NO_SCHEMA
    if tool.strict is not None:
        found["strict"] = tool.strict
    if tool.cache is not None:
        found["cache_control"] = tool.cache
    return found


def _put_choice(body: dict[str, Any], call: CanonicalCall, fidelity: Fidelity) -> None:
    choice = call.choice
    found: dict[str, Any] = {"type": "auto"} if choice is None else {"type": choice.mode}
    if choice is not None and choice.mode == "tool":
        found["name"] = (choice.names or choice.own)[0]
    elif choice is not None and (choice.names or choice.own):
        # The tools that are allowed: the others are not shown, which is the same.
        allowed = {*choice.names, *choice.own}
        body["tools"] = [tool for tool in body["tools"] if tool["name"] in allowed]
    if call.parallel is not None and found["type"] != "none":
        found["disable_parallel_tool_use"] = not call.parallel
    elif choice is None:
        return
    body["tool_choice"] = found


def _put_reasoning(
    body: dict[str, Any],
    call: CanonicalCall,
    recipient: ForeignRecipient,
    fidelity: Fidelity,
    limit: int,
) -> None:
    asked = call.reasoning
    if asked is None:
        return
    if recipient.reasoning == "none":
        if not asked.off:
            fidelity.hint(asked.path)
        return
    effort = asked.effort
    if asked.off or effort == "none":
        body["thinking"] = {"type": "disabled"}
        return
    forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
    by_budget = recipient.reasoning == "budget"
    # "Thinking may not be enabled when tool_choice forces tool use."
    if forced or (by_budget and goes_on_unthought(call.turns, FAMILY)):
        fidelity.hint(asked.path)
        return
    if recipient.reasoning == "adaptive":
        body["thinking"] = {"type": "adaptive"}
        if effort is not None:
            body["output_config"] = {"effort": recipient.terms.effort(effort)}
        return
    budget = asked.budget or _BUDGETS.get(effort or "medium", _MOST_BUDGET)
    budget = min(budget, limit - 1)
    if budget < _LEAST_BUDGET:
        fidelity.hint(asked.path)
        return
    body["thinking"] = {"type": "enabled", "budget_tokens": budget}


def _put_sampling(
    body: dict[str, Any], call: CanonicalCall, recipient: ForeignRecipient, fidelity: Fidelity
) -> None:
    takes = recipient.terms.sampling
    thinks = body.get("thinking", {}).get("type") in ("enabled", "adaptive")
    for name in ("temperature", "top_p", "top_k"):
        value = getattr(call, name)
        if value is None:
            continue
        if thinks or takes == "none":
            # "temperature may only be set to 1 when thinking is enabled."
            if bytes(value) not in (b"1", b"1.0"):
                fidelity.hint(call.path(name))
        elif name == "top_p" and takes == "one" and "temperature" in body:
            # "`temperature` and `top_p` cannot both be specified for this model."
            if bytes(value) not in (b"1", b"1.0"):
                fidelity.hint(call.path(name))
        elif name == "temperature" and number(value, call.path(name)) > _HOTTEST:
            fidelity.demand(call.path(name), "Anthropic's API takes 0 to 1")
        else:
            body[name] = value
    if call.stop:
        body["stop_sequences"] = call.stop


def _put_format(body: dict[str, Any], call: CanonicalCall, fidelity: Fidelity) -> None:
    if call.format is None:
        return
    if call.format.schema is None:
        fidelity.demand(call.format.path, "Anthropic's API wants a schema for its JSON")
        return
    format_ = {"type": "json_schema", "schema": call.format.schema}
    body["output_config"] = {**body.get("output_config", {}), "format": format_}
