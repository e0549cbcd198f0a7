"""The tools, the format and the reasoning that a chat asks for, read."""

from __future__ import annotations

from typing import Final, cast

import msgspec

from ...canonical.call import OutputFormat, Reasoning, Tool, ToolChoice
from ...canonical.fidelity import Fidelity
from ...canonical.own_tools.tool import Location, OwnTool
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
from ...canonical.tools import read_choice_word
from ...model_terms import Effort

_Raw = msgspec.Raw

_SEARCH: Final = "web_search_options"
_EFFORTS: Final = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})


def read_tools(fields: Fields) -> tuple[list[Tool], list[OwnTool]]:
    """Return the functions and custom tools, and those that a provider runs itself."""
    found: list[Tool] = []
    own = [] if _SEARCH not in fields else [_search(fields)]
    for number_, item in enumerate(items_of(fields.get("tools", _Raw(b"[]")), "tools")):
        path = f"tools.{number_}"
        tool = fields_of(item, path)
        kind = member_text(tool, "type", path, "function")
        if kind not in ("function", "custom"):
            # Not OpenAI's: other servers with its API have tools of their own.
            searches = kind.startswith("web_search")
            own.append(OwnTool("web_search" if searches else kind, kind, path))
            continue
        function = fields_of(tool.get(kind, _Raw(b"0")), f"{path}.{kind}")
        cache = tool.get("cache_control") or function.get("cache_control")
        if kind == "custom":
            found.append(_custom(function, f"{path}.custom", cache))
        else:
            found.append(_tool(function, f"{path}.function", cache))
    for number_, item in enumerate(items_of(fields.get("functions", _Raw(b"[]")), "functions")):
        path = f"functions.{number_}"
        found.append(_tool(fields_of(item, path), path, None))
    return found, own


def _search(fields: Fields) -> OwnTool:
    """Return the web search that OpenAI's models for it are asked for by a member of its own."""
    found = fields_of(fields[_SEARCH], _SEARCH)
    where = fields_of(found.get("user_location", _Raw(b"{}")), f"{_SEARCH}.user_location")
    location = None
    if "approximate" in where:
        about = fields_of(where["approximate"], f"{_SEARCH}.user_location.approximate")
        location = Location(
            **{
                name: member_text(about, name, f"{_SEARCH}.user_location.approximate", "") or None
                for name in Location.__struct_fields__
            }
        )
    return OwnTool(
        "web_search",
        "",
        _SEARCH,
        context=member_text(found, "search_context_size", _SEARCH, "") or None,
        location=location,
    )


def _tool(function: Fields, path: str, cache: _Raw | None) -> Tool:
    return Tool(
        name=member_text(function, "name", path),
        description=member_text(function, "description", path, "") or None,
        schema=function.get("parameters"),
        strict=is_true(function["strict"]) if "strict" in function else None,
        cache=cache,
        path=path,
    )


def custom_tools(body: bytes) -> frozenset[str]:
    """Return the names of the custom tools in a request that has been read before."""
    if b'"custom"' not in body:
        return frozenset()
    tools, _ = read_tools(fields_of(body, ""))
    return frozenset(tool.name for tool in tools if tool.custom)


def _custom(function: Fields, path: str, cache: _Raw | None) -> Tool:
    return Tool(
        name=member_text(function, "name", path),
        description=member_text(function, "description", path, "") or None,
        cache=cache,
        path=path,
        custom=True,
        grammar=_grammar(function, f"{path}.format"),
    )


def _grammar(function: Fields, path: str) -> _Raw | None:
    """Return the form that a custom tool's input has, as Responses have it; None: any text."""
    if "format" not in function:
        return None
    found = fields_of(function["format"], path)
    if member_text(found, "type", path, "text") == "text":
        return None
    inner = fields_of(found.get("grammar", _Raw(b"{}")), f"{path}.grammar")
    return _Raw(msgspec.json.encode({"type": "grammar", **inner}))


def read_choice(fields: Fields, fidelity: Fidelity) -> ToolChoice | None:
    name = "tool_choice" if "tool_choice" in fields else "function_call"
    if name not in fields:
        return None
    raw = fields[name]
    if is_text(raw):
        return read_choice_word(raw, name, fidelity)
    found = fields_of(raw, name)
    if name == "function_call":
        return ToolChoice("tool", (member_text(found, "name", name),))
    kind = member_text(found, "type", name)
    if kind in ("function", "custom"):
        function = fields_of(found.get(kind, _Raw(b"0")), f"{name}.{kind}")
        return ToolChoice("tool", (member_text(function, "name", f"{name}.{kind}"),))
    if kind == "allowed_tools":
        return _allowed(fields_of(found.get("allowed_tools", raw), name), name, fidelity)
    fidelity.demand(name, f"a choice of {kind} cannot be translated")
    return None


def _allowed(found: Fields, path: str, fidelity: Fidelity) -> ToolChoice:
    names = []
    for number_, item in enumerate(items_of(found.get("tools", _Raw(b"[]")), f"{path}.tools")):
        where = f"{path}.tools.{number_}"
        tool = fields_of(item, where)
        kind = member_text(tool, "type", where, "function")
        function = fields_of(tool.get(kind, _Raw(b"0")), where)
        names.append(member_text(function, "name", where))
    required = member_text(found, "mode", path, "auto") == "required"
    return ToolChoice("any" if required else "auto", tuple(names))


def read_format(fields: Fields, fidelity: Fidelity) -> OutputFormat | None:
    if "response_format" not in fields:
        return None
    path = "response_format"
    found = fields_of(fields[path], path)
    kind = member_text(found, "type", path)
    if kind == "text":
        return None
    if kind == "json_object":
        return OutputFormat(path=path)
    if kind != "json_schema":
        fidelity.demand(path, f"{kind} cannot be translated")
        return None
    schema = fields_of(found.get("json_schema", _Raw(b"0")), f"{path}.json_schema")
    return OutputFormat(
        schema=schema.get("schema"),
        name=member_text(schema, "name", f"{path}.json_schema", "response"),
        strict=is_true(schema["strict"]) if "strict" in schema else None,
        path=path,
    )


def read_reasoning(fields: Fields) -> Reasoning | None:
    """Return what OpenAI's, OpenRouter's (`reasoning`) or DeepSeek's (`thinking`) member asks."""
    if "reasoning_effort" in fields:
        path = "reasoning_effort"
        effort = text_of(fields[path], path)
        return Reasoning(effort=_effort(effort), off=effort == "none", path=path)
    if "reasoning" in fields:
        path = "reasoning"
        found = fields_of(fields[path], path)
        effort = member_text(found, "effort", path, "")
        budget = found.get("max_tokens")
        off = effort == "none" or bytes(found.get("enabled", _Raw(b"true"))) == b"false"
        return Reasoning(_effort(effort), _budget(budget, path), off=off, path=path)
    if "thinking" in fields:
        path = "thinking"
        found = fields_of(fields[path], path)
        kind = member_text(found, "type", path, "enabled")
        budget = found.get("budget_tokens")
        return Reasoning(
            budget=_budget(budget, path),
            adaptive=kind == "adaptive",
            off=kind == "disabled",
            path=path,
        )
    return None


def _effort(word: str) -> Effort | None:
    return cast("Effort", word) if word in _EFFORTS else None


def _budget(raw: _Raw | None, path: str) -> int | None:
    return None if raw is None else int(min(max(number(raw, path), 0), 1e9))
