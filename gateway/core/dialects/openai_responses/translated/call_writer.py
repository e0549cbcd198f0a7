"""A canonical call as a request for a response."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...base import ForeignRecipient
from ...canonical.call import CanonicalCall, Reasoning, Text, Tool, ToolChoice, Turn
from ...canonical.fidelity import Fidelity
from ...canonical.own_tools.tool import OwnTool
from ...canonical.reading import number
from ...openai_chat.translated.call_writer import TIERS, USUAL_SAMPLING, effort_of, unsampled
from .item_writer import ItemWriter

_ENCODE: Final = msgspec.json.Encoder().encode
_NO_SCHEMA: Final = msgspec.Raw(b'{"type":"object","properties":{}}')
_ASIS: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "metadata": "metadata",
    "cache_key": "prompt_cache_key",
    "cache_retention": "prompt_cache_retention",
    "safety_id": "safety_identifier",
}
# What is harmless to leave out, and what is none if it is one of the values behind it.
_HINTS: Final = ("top_k", "seed")
_DEMANDS: Final = {
    "presence_penalty": (b"0", b"0.0"),
    "frequency_penalty": (b"0", b"0.0"),
    "logit_bias": (b"{}",),
    "answers": (b"1",),
}
# platform.openai.com/docs/api-reference/responses/create: `safety_identifier`.
_LONGEST_USER: Final = 64
_ENCRYPTED: Final = "reasoning.encrypted_content"
_LOGPROBS: Final = "message.output_text.logprobs"


def write_call(call: CanonicalCall, recipient: ForeignRecipient, fidelity: Fidelity) -> bytes:
    """Return the body of the request. Raises Untranslatable."""
    body: dict[str, Any] = {"model": msgspec.Raw(recipient.model_json)}
    instructions, turns = _instructions(call.turns)
    if instructions is not None:
        body["instructions"] = instructions
    body["input"] = ItemWriter(recipient, fidelity).write(turns)
    if call.stream:
        body["stream"] = True
    # Whoever asks in another API brings the conversation along each time.
    body["store"] = False
    if call.max_tokens is not None:
        body["max_output_tokens"] = _limited(call, recipient)
    if call.tools or call.own_tools:
        body["tools"] = _tools(call.tools, fidelity)
        _put_searches(body, call.own_tools, fidelity)
        _put_choice(body, call)
    _put_text(body, call)
    _put_include(body, call, recipient)
    if call.reasoning is not None:
        _put_reasoning(body, call.reasoning, recipient, fidelity)
    _put_rest(body, call, recipient, fidelity)
    return _ENCODE(body)


def _instructions(turns: list[Turn]) -> tuple[str | None, list[Turn]]:
    """Return what stands before the conversation as one text, and all that is not in it."""
    if not turns or not turns[0].head:
        return None, turns
    blocks = turns[0].blocks
    if len(blocks) == 1 and isinstance(blocks[0], Text) and blocks[0].cache is None:
        return blocks[0].text, turns[1:]
    # Several blocks stay apart: as a message in front of all others.
    return None, turns


def _limited(call: CanonicalCall, recipient: ForeignRecipient) -> msgspec.Raw:
    assert call.max_tokens is not None
    most = recipient.max_output_tokens
    if most is not None and number(call.max_tokens, call.path("max_tokens")) > most:
        return msgspec.Raw(b"%d" % most)
    return call.max_tokens


def _tools(tools: list[Tool], fidelity: Fidelity) -> list[dict[str, Any]]:
    """Return the tools; those of a namespace together, where the first of them stands."""
    found: list[dict[str, Any]] = []
    spaces: dict[str, list[dict[str, Any]]] = {}
    for tool in tools:
        if tool.cache is not None:
            fidelity.hint("cache_control")
        written = _tool(tool)
        if not tool.namespace:
            found.append(written)
            continue
        if tool.namespace not in spaces:
            inner = spaces[tool.namespace] = []
            space = {"type": "namespace", "name": tool.namespace, "description": ""}
            found.append({**space, "tools": inner})
        spaces[tool.namespace].append(written)
    return found


def _tool(tool: Tool) -> dict[str, Any]:
    about = {} if tool.description is None else {"description": tool.description}
    if tool.custom:
        grammar = {} if tool.grammar is None else {"format": tool.grammar}
        return {"type": "custom", "name": tool.name, **about, **grammar}
    return {
        "type": "function",
        "name": tool.name,
        **about,
        "parameters": tool.schema or _NO_SCHEMA,
        # Without a word the API means true, and other APIs mean false.
        "strict": bool(tool.strict),
    }


def _put_searches(body: dict[str, Any], tools: list[OwnTool], fidelity: Fidelity) -> None:
    for tool in tools:
        body["tools"].append(_search(tool, fidelity))
        if tool.max_uses is not None:
            body["max_tool_calls"] = tool.max_uses


def _search(tool: OwnTool, fidelity: Fidelity) -> dict[str, Any]:
    """Return a web search as OpenAI's (`types/responses/web_search_tool_param.py`)."""
    found: dict[str, Any] = {"type": "web_search"}
    if tool.allowed_domains:
        found["filters"] = {"allowed_domains": tool.allowed_domains}
        if tool.blocked_domains:
            # What is not allowed is blocked.
            fidelity.hint(f"{tool.path}.blocked_domains")
    elif tool.blocked_domains:
        fidelity.demand(f"{tool.path}.blocked_domains", "OpenAI's search has no such list")
    if tool.context is not None:
        found["search_context_size"] = tool.context
    if tool.location is not None:
        found["user_location"] = {"type": "approximate", **msgspec.to_builtins(tool.location)}
    return found


def _put_choice(body: dict[str, Any], call: CanonicalCall) -> None:
    if call.parallel is False:
        # True is what it is without a word, and not all models take the word.
        body["parallel_tool_calls"] = False
    choice = call.choice
    if choice is None:
        return
    kinds = {tool.name: "custom" if tool.custom else "function" for tool in call.tools}
    body["tool_choice"] = _choice(choice, kinds)


def _choice(choice: ToolChoice, kinds: dict[str, str]) -> str | dict[str, Any]:
    named: list[dict[str, Any]] = [
        {"type": kinds.get(name, "function"), "name": name} for name in choice.names
    ]
    named += [{"type": kind} for kind in choice.own]
    if choice.mode == "tool":
        return named[0]
    mode = "required" if choice.mode == "any" else choice.mode
    if named and mode != "none":
        return {"type": "allowed_tools", "mode": mode, "tools": named}
    return mode


def _put_include(body: dict[str, Any], call: CanonicalCall, recipient: ForeignRecipient) -> None:
    include = [] if recipient.reasoning == "none" else [_ENCRYPTED]
    if call.logprobs is not None and bytes(call.logprobs) == b"true":
        include.append(_LOGPROBS)
        if call.top_logprobs is not None:
            body["top_logprobs"] = call.top_logprobs
    if include:
        body["include"] = include


def _put_text(body: dict[str, Any], call: CanonicalCall) -> None:
    text: dict[str, Any] = {}
    format_ = call.format
    if format_ is not None and format_.schema is None:
        text["format"] = {"type": "json_object"}
    elif format_ is not None:
        strict = {} if format_.strict is None else {"strict": format_.strict}
        text["format"] = {
            "type": "json_schema",
            "name": format_.name,
            "schema": format_.schema,
            **strict,
        }
    if call.verbosity is not None:
        text["verbosity"] = call.verbosity
    if text:
        body["text"] = text


def _put_reasoning(
    body: dict[str, Any], asked: Reasoning, recipient: ForeignRecipient, fidelity: Fidelity
) -> None:
    if recipient.reasoning == "none":
        if not asked.off:
            fidelity.hint(asked.path)
        return
    if asked.off:
        # `none` is newer than most models.
        body["reasoning"] = {"effort": recipient.terms.least_effort}
        return
    effort = effort_of(asked)
    found: dict[str, Any] = {} if effort is None else {"effort": recipient.terms.effort(effort)}
    if asked.summary is not None:
        found["summary"] = asked.summary
    if found:
        body["reasoning"] = found


def _put_asis(
    body: dict[str, Any], call: CanonicalCall, recipient: ForeignRecipient, fidelity: Fidelity
) -> None:
    left_out = unsampled(recipient, body.get("reasoning", {}).get("effort"))
    for name, shown in _ASIS.items():
        if (value := getattr(call, name)) is None:
            continue
        if name not in left_out:
            body[shown] = value
        elif bytes(value) not in USUAL_SAMPLING:
            fidelity.hint(call.path(name))


def _put_rest(
    body: dict[str, Any], call: CanonicalCall, recipient: ForeignRecipient, fidelity: Fidelity
) -> None:
    _put_asis(body, call, recipient, fidelity)
    for name in _HINTS:
        if getattr(call, name) is not None:
            fidelity.hint(call.path(name))
    for name, nothing in _DEMANDS.items():
        value = getattr(call, name)
        if value is not None and bytes(value) not in nothing:
            fidelity.demand(call.path(name), "OpenAI's Responses have nothing like it")
    if call.user is not None:
        if len(call.user) <= _LONGEST_USER:
            body["user"] = call.user
        else:
            fidelity.hint(call.path("user"))
    if call.service_tier in TIERS:
        body["service_tier"] = call.service_tier
    elif call.service_tier not in (None, "auto"):
        fidelity.hint(call.path("service_tier"))
