"""Tools, and which of them must be called, in Bedrock's form."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...canonical.call import CanonicalCall, Tool, ToolCall
from ...canonical.fidelity import Fidelity
from .block_writer import cache_point

_NO_SCHEMA: Final = msgspec.Raw(b'{"type":"object","properties":{}}')


def write_tools(call: CanonicalCall, fidelity: Fidelity) -> dict[str, Any] | None:
    """Return `toolConfig`; None for a request without tools. Raises Untranslatable.

    A conversation in which tools were called must offer some ("The toolConfig field must be
    defined when using toolUse and toolResult content blocks"), so those that it has called stand
    for what it does not offer any more.
    """
    choice = call.choice
    offered = list(call.tools)
    called = _called(call)
    if choice is not None and choice.mode == "none":
        if offered and called:
            fidelity.demand(
                call.path("tool_choice"), "Bedrock has no way to offer tools and forbid their calls"
            )
        offered = [] if not called else offered
    elif choice is not None and choice.mode != "tool" and choice.names:
        # The tools that are allowed: the others are not shown, which is the same.
        offered = [tool for tool in offered if tool.name in choice.names]
    if not offered:
        offered = [Tool(name) for name in called]
    if not offered:
        return None
    tools: list[dict[str, Any]] = []
    for tool in offered:
        tools.append({"toolSpec": _spec(tool)})
        if tool.cache is not None:
            tools.append(cache_point(tool.cache))
    found: dict[str, Any] = {"tools": tools}
    if choice is not None and choice.mode in ("auto", "any"):
        found["toolChoice"] = {choice.mode: {}}
    elif choice is not None and choice.mode == "tool":
        found["toolChoice"] = {"tool": {"name": choice.names[0]}}
    return found


def _called(call: CanonicalCall) -> list[str]:
    names = {
        block.name: None
        for turn in call.turns
        for block in turn.blocks
        if isinstance(block, ToolCall)
    }
    return list(names)


def _spec(tool: Tool) -> dict[str, Any]:
    found: dict[str, Any] = {"name": tool.name}
    if tool.description:
        # An empty one is refused.
        found["description"] = tool.description
    found["inputSchema"] = {"json": tool.schema or _NO_SCHEMA}
    if tool.strict is not None:
        found["strict"] = tool.strict
    return found
