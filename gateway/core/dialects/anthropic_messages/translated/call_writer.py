"""A canonical call as a request for a message."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...base import ForeignRecipient
from ...canonical.call import CanonicalCall, ToolResult, Turn
from ...canonical.fidelity import Fidelity
from ...canonical.reading import number
from .block_writer import write_blocks
from .cache_marks import mark

_ENCODE: Final = msgspec.json.Encoder().encode
_NO_SCHEMA: Final = msgspec.Raw(b'{"type":"object","properties":{}}')
# The smallest budget of manual thinking, and what stands for an effort (docs.anthropic.com,
# "Extended thinking"); the efforts are those of the other APIs.
_LEAST_BUDGET: Final = 1024
_BUDGETS: Final = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384}
_MOST_BUDGET: Final = 32000
_EFFORTS: Final = {"minimal": "low"}
# Anthropic's range is 0 to 1 (`types/message_create_params.py`).
_HOTTEST: Final = 1.0


def write_call(call: CanonicalCall, recipient: ForeignRecipient, fidelity: Fidelity) -> bytes:
    """Return the body of the request. Raises Untranslatable."""
    body: dict[str, Any] = {"model": msgspec.Raw(recipient.model_json)}
    head, rest = _split(call.turns)
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
    if tools:
        body["tools"] = tools
        _put_choice(body, call, fidelity)
    _put_reasoning(body, call, recipient, fidelity, int(number(limit, "max_tokens")))
    _put_sampling(body, call, fidelity)
    _put_format(body, call, fidelity)
    if call.user is not None:
        body["metadata"] = {"user_id": call.user}
    if call.service_tier not in (None, "auto"):
        fidelity.hint(call.path("service_tier"))
    _put_rest(call, fidelity)
    if recipient.caches_prompts:
        mark(body)
    return _ENCODE(body)


def _split(turns: list[Turn]) -> tuple[list[Turn], list[Turn]]:
    """Return what stands before the conversation, and the conversation."""
    number_ = 0
    while number_ < len(turns) and turns[number_].role in ("system", "developer"):
        number_ += 1
    head, rest = turns[:number_], turns[number_:]
    if head and not rest:
        # A conversation needs a message: the last of instructions alone becomes one.
        rest = [msgspec.structs.replace(head.pop(), role="user")]
    return head, rest


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
        found["name"] = choice.names[0]
    elif choice is not None and choice.names:
        # The tools that are allowed: the others are not shown, which is the same.
        body["tools"] = [tool for tool in body["tools"] if tool["name"] in choice.names]
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
    if forced:
        # "Thinking may not be enabled when tool_choice forces tool use."
        fidelity.hint(asked.path)
        return
    if recipient.reasoning == "adaptive":
        body["thinking"] = {"type": "adaptive"}
        if effort is not None:
            body["output_config"] = {"effort": _EFFORTS.get(effort, effort)}
        return
    budget = asked.budget or _BUDGETS.get(effort or "medium", _MOST_BUDGET)
    budget = min(budget, limit - 1)
    if budget < _LEAST_BUDGET:
        fidelity.hint(asked.path)
        return
    body["thinking"] = {"type": "enabled", "budget_tokens": budget}


def _put_sampling(body: dict[str, Any], call: CanonicalCall, fidelity: Fidelity) -> None:
    thinks = body.get("thinking", {}).get("type") in ("enabled", "adaptive")
    for name in ("temperature", "top_p", "top_k"):
        value = getattr(call, name)
        if value is None:
            continue
        if thinks:
            # "temperature may only be set to 1 when thinking is enabled."
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


def _put_rest(call: CanonicalCall, fidelity: Fidelity) -> None:
    for name in ("seed", "metadata", "cache_key", "cache_retention", "safety_id", "verbosity"):
        if getattr(call, name) is not None:
            fidelity.hint(call.path(name))
    for name in ("presence_penalty", "frequency_penalty", "top_logprobs"):
        value = getattr(call, name)
        if value is not None and number(value, call.path(name)):
            fidelity.demand(call.path(name), "Anthropic's API has nothing like it")
    for name in ("logprobs", "logit_bias"):
        value = getattr(call, name)
        if value is not None and bytes(value) not in (b"false", b"{}"):
            fidelity.demand(call.path(name), "Anthropic's API has nothing like it")
    if call.answers is not None and number(call.answers, call.path("answers")) > 1:
        fidelity.demand(call.path("answers"), "Anthropic's API gives one answer")
