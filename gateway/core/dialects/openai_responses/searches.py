"""How often a response has searched the web, which its provider charges beside the tokens."""

from __future__ import annotations

from typing import Final

import msgspec

_MARK: Final = b'"web_search_call"'


class _Action(msgspec.Struct):
    type: str = ""


class _Item(msgspec.Struct):
    type: str = ""
    status: str = ""
    action: _Action | None = None


_OUTPUT: Final = msgspec.json.Decoder(list[_Item])


def searches_in(output: msgspec.Raw | msgspec.UnsetType) -> int | None:
    """Return how many searches stand in the output of a response; None: it cannot be read.

    Pages that were opened again or looked through cost nothing (platform.openai.com/docs, "Web
    search"). xAI's calls have no action.
    """
    if isinstance(output, msgspec.UnsetType) or _MARK not in bytes(output):
        return 0
    try:
        items = _OUTPUT.decode(output)
    except (msgspec.DecodeError, RecursionError):
        return None
    return sum(
        item.type == "web_search_call"
        and item.status != "failed"
        and (item.action is None or item.action.type == "search")
        for item in items
    )
