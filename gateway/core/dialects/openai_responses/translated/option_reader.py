"""The tools, the choice, the format and the reasoning that a response is asked for with."""

from __future__ import annotations

from typing import Final, cast

import msgspec

from ...canonical.call import Effort, OutputFormat, Reasoning, Tool, ToolChoice
from ...canonical.fidelity import Fidelity
from ...canonical.reading import Fields, fields_of, is_text, is_true, items_of, member_text, text_of

_Raw = msgspec.Raw

_EFFORTS: Final = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})
_TOOL: Final = frozenset(
    {"type", "name", "description", "parameters", "strict", "format", "cache_control"}
)
_FREE_TEXT: Final = "text"
# `false` and `["direct"]` are what the API takes for them when they are absent.
_NOTHING: Final = (b"false", b"[]", b'["direct"]')


def read_tools(raw: _Raw, path: str, fidelity: Fidelity) -> list[Tool]:
    """Return the tools of a list, those of namespaces among them."""
    found: list[Tool] = []
    for number, item in enumerate(items_of(raw, path)):
        where = f"{path}.{number}"
        tool = fields_of(item, where)
        kind = member_text(tool, "type", where)
        if kind == "namespace":
            found += _namespace(tool, where, fidelity)
        elif kind in ("function", "custom"):
            found.append(_tool(tool, kind, where, fidelity))
        else:
            # Web search, files, code, images, shells, MCP: OpenAI's servers run them, or its
            # models know their forms.
            fidelity.demand(f"{where} ({kind})", "only OpenAI has this tool")
    return found


def _namespace(fields: Fields, path: str, fidelity: Fidelity) -> list[Tool]:
    name = member_text(fields, "name", path)
    found = read_tools(fields.get("tools", _Raw(b"[]")), f"{path}.tools", fidelity)
    for tool in found:
        tool.namespace = name
    about = member_text(fields, "description", path, "")
    if found and about:
        # It is about all of them, and the first is read first.
        first = found[0]
        first.description = f"{about}\n\n{first.description}" if first.description else about
    return found


def _tool(tool: Fields, kind: str, path: str, fidelity: Fidelity) -> Tool:
    for name in sorted(tool.keys() - _TOOL):
        if bytes(tool[name]) not in _NOTHING:
            fidelity.hint(f"{path}.{name}")
    grammar = tool.get("format")
    if grammar is not None:
        about = fields_of(grammar, f"{path}.format")
        if member_text(about, "type", f"{path}.format", _FREE_TEXT) == _FREE_TEXT:
            grammar = None
    return Tool(
        name=member_text(tool, "name", path),
        description=member_text(tool, "description", path, "") or None,
        schema=tool.get("parameters"),
        strict=is_true(tool["strict"]) if "strict" in tool else None,
        cache=tool.get("cache_control"),
        path=path,
        custom=kind == "custom",
        grammar=grammar if kind == "custom" else None,
    )


def read_choice(  # noqa: PLR0911  # a row for each form
    fields: Fields, fidelity: Fidelity
) -> ToolChoice | None:
    path = "tool_choice"
    if path not in fields:
        return None
    raw = fields[path]
    if is_text(raw):
        word = text_of(raw, path)
        if word == "required":
            return ToolChoice("any")
        if word in ("none", "auto"):
            return ToolChoice("none" if word == "none" else "auto")
        fidelity.demand(path, f"{word!r} is unknown")
        return None
    found = fields_of(raw, path)
    kind = member_text(found, "type", path)
    if kind in ("function", "custom"):
        return ToolChoice("tool", (member_text(found, "name", path),))
    if kind == "allowed_tools":
        required = member_text(found, "mode", path, "auto") == "required"
        return ToolChoice("any" if required else "auto", _allowed(found, path, fidelity))
    fidelity.demand(path, f"only OpenAI has the tool {kind}")
    return None


def _allowed(found: Fields, path: str, fidelity: Fidelity) -> tuple[str, ...]:
    names = []
    for number, item in enumerate(items_of(found.get("tools", _Raw(b"[]")), f"{path}.tools")):
        where = f"{path}.tools.{number}"
        tool = fields_of(item, where)
        if "name" in tool:
            names.append(member_text(tool, "name", where))
        else:
            kind = member_text(tool, "type", where, "?")
            fidelity.demand(f"{where} ({kind})", "only OpenAI has this tool")
    return tuple(names)


def read_format(text: Fields, fidelity: Fidelity) -> OutputFormat | None:
    """Return the format that `text` asks for."""
    if "format" not in text:
        return None
    path = "text.format"
    found = fields_of(text["format"], path)
    kind = member_text(found, "type", path)
    if kind == "text":
        return None
    if kind == "json_object":
        return OutputFormat(path=path)
    if kind != "json_schema":
        fidelity.demand(path, f"{kind} cannot be translated")
        return None
    return OutputFormat(
        schema=found.get("schema"),
        name=member_text(found, "name", path, "response"),
        strict=is_true(found["strict"]) if "strict" in found else None,
        path=path,
    )


def read_reasoning(fields: Fields) -> Reasoning | None:
    path = "reasoning"
    if path not in fields:
        return None
    found = fields_of(fields[path], path)
    effort = member_text(found, "effort", path, "")
    summary = member_text(found, "summary", path, "")
    if not summary:
        # Its older name.
        summary = member_text(found, "generate_summary", path, "")
    if not (effort or summary):
        return None
    return Reasoning(
        effort=cast("Effort", effort) if effort in _EFFORTS else None,
        off=effort == "none",
        path=path,
        summary=summary or None,
    )
