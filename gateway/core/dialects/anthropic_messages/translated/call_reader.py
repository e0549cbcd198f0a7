"""A request for a message, read into canonical form (`types/message_create_params.py`)."""

from __future__ import annotations

from typing import Final, Literal, cast

import msgspec

from .....errors import InvalidRequest
from ...canonical.call import (
    CanonicalCall,
    OutputFormat,
    Reasoning,
    Role,
    Tool,
    ToolChoice,
    Turn,
)
from ...canonical.fidelity import Fidelity
from ...canonical.own_tools.tool import OwnTool
from ...canonical.reading import (
    Fields,
    fields_of,
    is_text,
    is_true,
    items_of,
    member_text,
    number,
    text_of,
)
from ...model_terms import Effort
from .block_reader import read_content
from .own_tools import read_own_tool

_Raw = msgspec.Raw

# Read here or by the caller's own reader.
_KNOWN: Final = frozenset(
    {
        *("model", "max_tokens", "messages", "system", "tools", "tool_choice", "stop_sequences"),
        *("temperature", "top_p", "top_k", "stream", "metadata", "thinking", "output_config"),
        "service_tier",
    }
)
# Harmless: without them the answer is the same, or only slower or dearer. `safeguards` are
# Claude Code's classifiers beside the answer, `context_management` clears what fills its window,
# `mcp_servers` are where tools are from that are offered.
_HINTS: Final = frozenset(
    {
        *("cache_control", "context_management", "safeguards", "diagnostics", "speed", "betas"),
        *("user_profile_id", "workspace_id", "mcp_servers"),
    }
)
_EFFORTS: Final = frozenset({"low", "medium", "high", "xhigh", "max"})
_ROLES: Final = frozenset({"user", "assistant", "system"})
_PATHS: Final = {"stop": "stop_sequences", "answers": "n", "user": "metadata.user_id"}
_MODES: Final[dict[str, Literal["auto", "any", "none"]]] = {
    "auto": "auto",
    "any": "any",
    "none": "none",
}
_TOOL: Final = frozenset({"name", "description", "input_schema", "type", "strict", "cache_control"})


def read_call(body: bytes, fidelity: Fidelity) -> CanonicalCall:
    """Return the request in `body`. Raises InvalidRequest (400) and Untranslatable."""
    fields = fields_of(body, "")
    for name in fields.keys() - _KNOWN:
        if name in _HINTS:
            fidelity.hint(name)
        else:
            fidelity.demand(name, "only Anthropic's API has this member")
    turns = _system(fields, fidelity) + _turns(fields, fidelity)
    tools, own_tools = _tools(fields, fidelity)
    choice, parallel = _choice(fields, own_tools, fidelity)
    return CanonicalCall(
        turns=turns,
        stream=is_true(fields.get("stream")),
        tools=tools,
        own_tools=own_tools,
        choice=choice,
        parallel=parallel,
        format=_format(fields),
        reasoning=_reasoning(fields, fidelity),
        max_tokens=fields.get("max_tokens"),
        temperature=fields.get("temperature"),
        top_p=fields.get("top_p"),
        top_k=fields.get("top_k"),
        stop=[
            text_of(each, f"stop_sequences.{n}")
            for n, each in enumerate(items_of(fields.get("stop_sequences", _Raw(b"[]")), "stop"))
        ],
        user=_user(fields),
        service_tier=member_text(fields, "service_tier", "", "") or None,
        paths=_PATHS,
    )


def _system(fields: Fields, fidelity: Fidelity) -> list[Turn]:
    if "system" not in fields:
        return []
    blocks = read_content(fields["system"], "system", fidelity)
    return [Turn("system", blocks, head=True, path="system")] if blocks else []


def _turns(fields: Fields, fidelity: Fidelity) -> list[Turn]:
    if "messages" not in fields:
        raise InvalidRequest("messages: Field required", param="messages")
    found = []
    for number_, item in enumerate(items_of(fields["messages"], "messages")):
        path = f"messages.{number_}"
        message = fields_of(item, path)
        role = member_text(message, "role", path)
        if role not in _ROLES:
            raise InvalidRequest(f"{path}.role: {role!r} is no role", param=f"{path}.role")
        for name in sorted(message.keys() - {"role", "content"}):
            # `output_config` of a turn, say, which Claude Code sets for its own (effort).
            fidelity.hint(f"{path}.{name}")
        content = message.get("content", _Raw(b"[]"))
        blocks = read_content(content, f"{path}.content", fidelity)
        found.append(Turn(cast("Role", role), blocks, path=path))
    return found


def _tools(fields: Fields, fidelity: Fidelity) -> tuple[list[Tool], list[OwnTool]]:
    found: list[Tool] = []
    own: list[OwnTool] = []
    for number_, item in enumerate(items_of(fields.get("tools", _Raw(b"[]")), "tools")):
        path = f"tools.{number_}"
        tool = fields_of(item, path)
        kind = member_text(tool, "type", path, "custom")
        if kind != "custom":
            # Web search, code execution, bash, computer use: Anthropic's servers run them, or its
            # models know their schemas.
            own.append(read_own_tool(tool, kind, path))
            continue
        for name in sorted(tool.keys() - _TOOL):
            fidelity.hint(f"{path}.{name}")
        found.append(
            Tool(
                name=member_text(tool, "name", path),
                description=member_text(tool, "description", path, "") or None,
                schema=tool.get("input_schema"),
                strict=is_true(tool["strict"]) if "strict" in tool else None,
                cache=tool.get("cache_control"),
                path=path,
            )
        )
    return found, own


def _choice(
    fields: Fields, own_tools: list[OwnTool], fidelity: Fidelity
) -> tuple[ToolChoice | None, bool | None]:
    if "tool_choice" not in fields:
        return None, None
    found = fields_of(fields["tool_choice"], "tool_choice")
    kind = member_text(found, "type", "tool_choice")
    parallel = None
    if "disable_parallel_tool_use" in found:
        parallel = not is_true(found["disable_parallel_tool_use"])
    if kind == "tool":
        name = member_text(found, "name", "tool_choice")
        if any(tool.kind == name for tool in own_tools):
            return ToolChoice("tool", own=(name,)), parallel
        return ToolChoice("tool", (name,)), parallel
    if kind in _MODES:
        return ToolChoice(_MODES[kind]), parallel
    fidelity.demand("tool_choice", f"{kind} is unknown")
    return None, parallel


def _format(fields: Fields) -> OutputFormat | None:
    config = fields_of(fields.get("output_config", _Raw(b"{}")), "output_config")
    if "format" not in config:
        return None
    path = "output_config.format"
    return OutputFormat(schema=fields_of(config["format"], path).get("schema"), path=path)


def _reasoning(fields: Fields, fidelity: Fidelity) -> Reasoning | None:
    config = fields_of(fields.get("output_config", _Raw(b"{}")), "output_config")
    for name in sorted(config.keys() - {"effort", "format"}):
        fidelity.demand(f"output_config.{name}", "only Anthropic's API has this member")
    effort = member_text(config, "effort", "output_config", "")
    known = cast("Effort", effort) if effort in _EFFORTS else None
    if "thinking" not in fields:
        return Reasoning(effort=known, path="output_config.effort") if known else None
    thinking = fields_of(fields["thinking"], "thinking")
    kind = member_text(thinking, "type", "thinking")
    for name in sorted(thinking.keys() - {"type", "budget_tokens", "display"}):
        fidelity.hint(f"thinking.{name}")
    budget = None
    if "budget_tokens" in thinking:
        budget = int(min(max(number(thinking["budget_tokens"], "thinking.budget_tokens"), 0), 1e9))
    shown = kind != "disabled" and member_text(thinking, "display", "thinking", "") != "omitted"
    return Reasoning(
        effort=known,
        budget=budget,
        adaptive=kind not in ("enabled", "disabled"),
        off=kind == "disabled",
        path="thinking",
        # What it thinks is a part of the answer.
        summary="auto" if shown else None,
        shown_by="thinking.display" if "display" in thinking else "",
    )


def _user(fields: Fields) -> str | None:
    if "metadata" not in fields:
        return None
    user = fields_of(fields["metadata"], "metadata").get("user_id")
    return text_of(user, "metadata.user_id") if user is not None and is_text(user) else None
