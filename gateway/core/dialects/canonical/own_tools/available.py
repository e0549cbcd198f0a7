"""Tools that a provider runs itself: web search, and what only one vendor has.

Web search is in more than one API, and goes to providers that have it. All others are known to one
vendor only. A tool that is merely offered is harmless to leave out: the model may answer without
it in any case. One that the request insists on is refused.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ..call import CanonicalCall, ToolChoice
from ..fidelity import Fidelity
from .tool import OwnTool

_NO_SEARCH: Final = "this model's provider does not search the web"
_ONE_VENDOR: Final = "only its vendor has this tool"
_NOTHING_LEFT: Final = "this model's provider has none of the tools that may be called"


def available_tools(call: CanonicalCall, *, searches: bool, fidelity: Fidelity) -> CanonicalCall:
    """Return `call` with no other tools of a provider's own than its target has.

    Raises Untranslatable where one of the others must be called.
    """
    if not call.own_tools:
        return call
    choice = call.choice
    if choice is not None and choice.mode == "none":
        # None of them may be called: nothing is lost without them.
        return msgspec.structs.replace(call, own_tools=[])
    kept: list[OwnTool] = []
    names = {tool.name for tool in call.tools}
    for tool in call.own_tools:
        if choice is not None and (choice.names or choice.own) and tool.kind not in choice.own:
            # It may not be called, and so need not be shown.
            continue
        if searches and tool.searches and not (tool.offline or kept or tool.kind in names):
            kept.append(tool)
        elif choice is not None and choice.mode == "tool" and tool.kind in choice.own:
            fidelity.demand(tool.member, _NO_SEARCH if tool.searches else _ONE_VENDOR)
            choice = None
        else:
            fidelity.hint(tool.member)
    return msgspec.structs.replace(
        call, own_tools=kept, choice=_choice(call, choice, kept, fidelity)
    )


def _choice(
    call: CanonicalCall, choice: ToolChoice | None, kept: list[OwnTool], fidelity: Fidelity
) -> ToolChoice | None:
    """Return the choice among what is left; None where nothing is left to choose from."""
    if choice is None:
        return None
    own = tuple(tool.kind for tool in kept if tool.kind in choice.own)
    offered = call.tools if not (choice.names or choice.own) else choice.names
    if offered or own or (kept and not choice.own):
        return ToolChoice(choice.mode, choice.names, own)
    if choice.mode in ("any", "tool"):
        fidelity.demand("tool_choice", _NOTHING_LEFT)
    # The others may not be called.
    return ToolChoice("none") if choice.own and call.tools else None
