"""Tools that Anthropic's servers run, read and written (its SDK's `types/web_search_tool_*`)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...canonical.fidelity import Fidelity
from ...canonical.own_tools.tool import Location, OwnTool
from ...canonical.reading import Fields, fields_of, items_of, member_text, text_of

_Raw = msgspec.Raw
_SEARCH: Final = "web_search"
# All models that search know the first version of it.
_TYPE: Final = "web_search_20250305"


def read_own_tool(tool: Fields, type: str, path: str) -> OwnTool:
    """Return a tool that is no function of the caller's."""
    cache = tool.get("cache_control")
    if not type.startswith(f"{_SEARCH}_"):
        # Known by its name, as choices call it.
        return OwnTool(member_text(tool, "name", path, type), type, path, cache=cache)
    location = None
    if "user_location" in tool:
        where = f"{path}.user_location"
        about = fields_of(tool["user_location"], where)
        names = Location.__struct_fields__
        location = Location(**{n: member_text(about, n, where, "") or None for n in names})
    return OwnTool(
        _SEARCH,
        type,
        path,
        max_uses=tool.get("max_uses"),
        allowed_domains=_texts(tool, "allowed_domains", path),
        blocked_domains=_texts(tool, "blocked_domains", path),
        location=location,
        cache=cache,
    )


def write_search(tool: OwnTool, fidelity: Fidelity) -> dict[str, Any]:
    """Return a web search as Anthropic's API has it."""
    found: dict[str, Any] = {"type": _TYPE, "name": _SEARCH}
    if tool.max_uses is not None:
        found["max_uses"] = tool.max_uses
    if tool.allowed_domains:
        found["allowed_domains"] = tool.allowed_domains
    if tool.blocked_domains:
        if tool.allowed_domains:
            # "Cannot be used alongside"; what is not allowed is blocked.
            fidelity.hint(f"{tool.path}.blocked_domains")
        else:
            found["blocked_domains"] = tool.blocked_domains
    if tool.location is not None:
        found["user_location"] = {"type": "approximate", **msgspec.to_builtins(tool.location)}
    if tool.context is not None:
        fidelity.hint(f"{tool.path}.search_context_size")
    return found


def _texts(fields: Fields, name: str, path: str) -> list[str]:
    where = f"{path}.{name}"
    return [text_of(each, where) for each in items_of(fields.get(name, _Raw(b"[]")), where)]
