"""A canonical call as a request for content."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from ...base import ForeignRecipient
from ...canonical.call import CanonicalCall, Reasoning, Tool, ToolResult, Turn
from ...canonical.fidelity import Fidelity
from ...canonical.own_tools.tool import OwnTool
from ...canonical.reading import number
from ...canonical.writing import split_turns
from ...model_terms import Effort
from .part_writer import Part, PartWriter

_ENCODE: Final = msgspec.json.Encoder().encode
_AS_IS: Final = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "seed": "seed",
}
# ai.google.dev/gemini-api/docs/openai, "Thinking": which budget an effort stands for.
_BUDGETS: Final = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
_MOST_BUDGET: Final = 24576
# Tokens up to which a budget is a low or a medium effort, as OpenRouter maps them.
_LOW: Final = 4096
_MEDIUM: Final = 16384
# The models of version 3 refuse calls without a signature ("Thought signatures").
_SIGNS: Final = re.compile(rb"gemini-(?:[3-9]|\d\d)")


def write_call(call: CanonicalCall, recipient: ForeignRecipient, fidelity: Fidelity) -> bytes:
    """Return the body of the request, with model and `stream`, which stand in its path in the end.

    Raises Untranslatable.
    """
    writer = PartWriter(fidelity, signs=bool(_SIGNS.search(recipient.model_json)))
    body: dict[str, Any] = {"model": msgspec.Raw(recipient.model_json), "stream": call.stream}
    head, rest = split_turns(call.turns)
    system = [part for turn in head for part in writer.asked(turn.blocks, turn.path)]
    if system:
        body["systemInstruction"] = {"parts": system}
    body["contents"] = _contents(rest, writer, fidelity)
    if call.tools or call.own_tools:
        _put_tools(body, call, fidelity)
    config: dict[str, Any] = {}
    _put_sampling(config, call, recipient)
    if call.format is not None:
        config["responseMimeType"] = "application/json"
        if call.format.schema is not None:
            config["responseJsonSchema"] = call.format.schema
    if call.reasoning is not None:
        _put_reasoning(config, call.reasoning, recipient, fidelity)
    if config:
        body["generationConfig"] = config
    _put_rest(call, fidelity)
    return _ENCODE(body)


def _contents(turns: list[Turn], writer: PartWriter, fidelity: Fidelity) -> list[Part]:
    """Return the contents; the responses to one answer's calls go into one of them."""
    found: list[Part] = []
    results = False
    for turn in _merged(turns):
        if turn.role == "assistant":
            parts, role = writer.said(turn.blocks, turn.path), "model"
        else:
            if turn.role != "user":
                # There is one instruction, in front of all contents: here it is the user's words.
                fidelity.hint(f"{turn.path}.role")
            parts, role = writer.asked(turn.blocks, turn.path), "user"
        if not parts:
            continue
        if results and role == "user":
            # All responses to parallel calls must stand in the next content.
            found[-1]["parts"] += parts
            results = any("functionResponse" in part for part in parts)
            continue
        results = any(isinstance(each, ToolResult) for each in turn.blocks)
        found.append({"role": role, "parts": parts})
    return found


def _merged(turns: list[Turn]) -> list[Turn]:
    """Return `turns` with what an assistant said in one go as one: signatures count its calls."""
    found: list[Turn] = []
    for turn in turns:
        if found and turn.role == "assistant" and found[-1].role == "assistant":
            blocks = [*found[-1].blocks, *turn.blocks]
            found[-1] = msgspec.structs.replace(found[-1], blocks=blocks)
        else:
            found.append(turn)
    return found


def _tool(tool: Tool, fidelity: Fidelity) -> dict[str, Any]:
    if tool.cache is not None:
        fidelity.hint("cache_control")
    if tool.strict:
        fidelity.hint(f"{tool.path}.strict")
    found: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        found["description"] = tool.description
    if tool.schema is not None:
        found["parametersJsonSchema"] = tool.schema
    return found


def _put_tools(body: dict[str, Any], call: CanonicalCall, fidelity: Fidelity) -> None:
    choice, tools = call.choice, call.tools
    if call.parallel is False:
        fidelity.hint(call.path("parallel_tool_calls"))
    if choice is not None and choice.mode == "auto" and choice.names:
        # Names are allowed only where one of them must be called; the others are not shown.
        tools = [tool for tool in tools if tool.name in choice.names]
    found: list[dict[str, Any]] = []
    if tools:
        found.append({"functionDeclarations": [_tool(each, fidelity) for each in tools]})
    found += [{"googleSearch": _search(each, fidelity)} for each in call.own_tools]
    if found:
        body["tools"] = found
    if choice is None:
        return
    if choice.mode in ("any", "tool") and (choice.own or not tools):
        fidelity.demand("tool_choice", "Google's API cannot insist on a search")
        return
    if not tools:
        return
    mode = {"auto": "AUTO", "none": "NONE"}.get(choice.mode, "ANY")
    config: dict[str, Any] = {"mode": mode}
    if mode == "ANY" and choice.names:
        config["allowedFunctionNames"] = list(choice.names)
    body["toolConfig"] = {"functionCallingConfig": config}


def _search(tool: OwnTool, fidelity: Fidelity) -> dict[str, Any]:
    """Return a web search: which pages it may find is Google's own choice."""
    for name in ("max_uses", "allowed_domains", "blocked_domains", "location", "context"):
        if getattr(tool, name):
            fidelity.hint(f"{tool.path}.{name}")
    return {}


def _put_sampling(config: dict[str, Any], call: CanonicalCall, recipient: ForeignRecipient) -> None:
    for name, shown in _AS_IS.items():
        if (value := getattr(call, name)) is not None:
            config[shown] = value
    if call.stop:
        config["stopSequences"] = call.stop
    limit, most = call.max_tokens, recipient.max_output_tokens
    if limit is not None:
        if most is not None and number(limit, call.path("max_tokens")) > most:
            limit = msgspec.Raw(b"%d" % most)
        config["maxOutputTokens"] = limit


def _put_reasoning(
    config: dict[str, Any], asked: Reasoning, recipient: ForeignRecipient, fidelity: Fidelity
) -> None:
    form, effort, budget = recipient.reasoning, asked.effort, asked.budget
    off = asked.off or effort == "none"
    if form == "none":
        if not off:
            fidelity.hint(asked.path)
        return
    if off:
        effort = "none"
    found = _budget(effort, budget) if form == "budget" else _level(effort, budget, recipient)
    if not off:
        # What it thinks is a part of the answer wherever it was asked for.
        found["includeThoughts"] = True
    config["thinkingConfig"] = found


def _budget(effort: Effort | None, budget: int | None) -> dict[str, Any]:
    if effort == "none":
        return {"thinkingBudget": 0}
    if budget is None:
        # Minus one leaves it to the model.
        budget = -1 if effort is None else _BUDGETS.get(effort, _MOST_BUDGET)
    return {"thinkingBudget": budget}


def _level(
    effort: Effort | None, budget: int | None, recipient: ForeignRecipient
) -> dict[str, Any]:
    if effort is None and budget is not None:
        effort = "low" if budget <= _LOW else "medium" if budget <= _MEDIUM else "high"
    if effort is None:
        return {}
    return {"thinkingLevel": recipient.terms.effort(effort)}


def _put_rest(call: CanonicalCall, fidelity: Fidelity) -> None:
    for name in ("user", "metadata", "cache_key", "cache_retention", "safety_id", "verbosity"):
        if getattr(call, name) is not None:
            fidelity.hint(call.path(name))
    if call.service_tier not in (None, "auto", "default"):
        fidelity.hint(call.path("service_tier"))
    for name in ("logprobs", "logit_bias"):
        value = getattr(call, name)
        if value is not None and bytes(value) not in (b"false", b"{}"):
            fidelity.demand(call.path(name), "Google's API has nothing like it")
    if call.top_logprobs is not None and number(call.top_logprobs, call.path("top_logprobs")):
        fidelity.demand(call.path("top_logprobs"), "Google's API has nothing like it")
    if call.answers is not None and number(call.answers, call.path("answers")) > 1:
        fidelity.demand(call.path("answers"), "one answer can be translated")
