"""The tools, the choice, the format and the reasoning that a response is asked for with."""

from __future__ import annotations

from typing import Final, cast

import msgspec

from ...canonical.call import OutputFormat, Reasoning, Tool, ToolChoice
from ...canonical.fidelity import Fidelity
from ...canonical.own_tools.tool import Location, OwnTool
from ...canonical.reading import Fields, fields_of, is_text, is_true, items_of, member_text, text_of
from ...canonical.tools import read_choice_word
from ...model_terms import Effort

_Raw = msgspec.Raw

_EFFORTS: Final = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})
_TOOL: Final = frozenset(
    {"type", "name", "description", "parameters", "strict", "format", "cache_control"}
)
_SEARCH: Final = "web_search"
_FREE_TEXT: Final = "text"
# `false` and `["direct"]` are what the API takes for them when they are absent.
_NOTHING: Final = (b"false", b"[]", b'["direct"]')


def read_tools(raw: _Raw, path: str, fidelity: Fidelity) -> tuple[list[Tool], list[OwnTool]]:
    """Return the tools of a list, those of namespaces among them, and those that OpenAI runs."""
    found: list[Tool] = []
    own: list[OwnTool] = []
    for number, item in enumerate(items_of(raw, path)):
        where = f"{path}.{number}"
        tool = fields_of(item, where)
        kind = member_text(tool, "type", where)
        if kind == "namespace":
            inner, inner_own = _namespace(tool, where, fidelity)
            found += inner
            own += inner_own
        elif kind in ("function", "custom"):
            found.append(_tool(tool, kind, where, fidelity))
        else:
            # Web search, files, code, images, shells, MCP: OpenAI's servers run them, or its
            # models know their forms.
            own.append(_own(tool, kind, where))
    return found, own


def kind_of(type: str) -> str:
    """Return the kind of a tool of OpenAI's own: web search has had several names."""
    return _SEARCH if type.startswith(_SEARCH) else type


def _own(tool: Fields, kind: str, path: str) -> OwnTool:
    if kind_of(kind) != _SEARCH:
        return OwnTool(kind, kind, path)
    filters = fields_of(tool.get("filters", _Raw(b"{}")), f"{path}.filters")
    where = f"{path}.user_location"
    about = fields_of(tool["user_location"], where) if "user_location" in tool else None
    location = None
    if about is not None:
        names = Location.__struct_fields__
        location = Location(**{n: member_text(about, n, where, "") or None for n in names})
    return OwnTool(
        _SEARCH,
        kind,
        path,
        offline=bytes(tool.get("external_web_access", _Raw(b"true"))) == b"false",
        context=member_text(tool, "search_context_size", path, "") or None,
        allowed_domains=_texts(filters, "allowed_domains", f"{path}.filters"),
        blocked_domains=_texts(filters, "blocked_domains", f"{path}.filters"),
        location=location,
    )


def _texts(fields: Fields, name: str, path: str) -> list[str]:
    where = f"{path}.{name}"
    return [text_of(each, where) for each in items_of(fields.get(name, _Raw(b"[]")), where)]


def _namespace(fields: Fields, path: str, fidelity: Fidelity) -> tuple[list[Tool], list[OwnTool]]:
    name = member_text(fields, "name", path)
    found, own = read_tools(fields.get("tools", _Raw(b"[]")), f"{path}.tools", fidelity)
    for tool in found:
        tool.namespace = name
    about = member_text(fields, "description", path, "")
    if found and about:
        # It is about all of them, and the first is read first.
        first = found[0]
        first.description = f"{about}\n\n{first.description}" if first.description else about
    return found, own


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


def read_choice(fields: Fields, fidelity: Fidelity) -> ToolChoice | None:
    path = "tool_choice"
    if path not in fields:
        return None
    raw = fields[path]
    if is_text(raw):
        return read_choice_word(raw, path, fidelity)
    found = fields_of(raw, path)
    kind = member_text(found, "type", path)
    if kind in ("function", "custom"):
        return ToolChoice("tool", (member_text(found, "name", path),))
    if kind == "allowed_tools":
        required = member_text(found, "mode", path, "auto") == "required"
        names, own = _allowed(found, path)
        return ToolChoice("any" if required else "auto", names, own)
    return ToolChoice("tool", own=(kind_of(kind),))


def _allowed(found: Fields, path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names: list[str] = []
    own: list[str] = []
    for number, item in enumerate(items_of(found.get("tools", _Raw(b"[]")), f"{path}.tools")):
        where = f"{path}.tools.{number}"
        tool = fields_of(item, where)
        if "name" in tool:
            names.append(member_text(tool, "name", where))
        else:
            own.append(kind_of(member_text(tool, "type", where, "?")))
    return tuple(names), tuple(own)


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
