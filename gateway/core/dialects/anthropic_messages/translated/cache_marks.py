"""Breakpoints of the prompt cache, for callers whose API has no way to set them.

Anthropic's API caches only what a request marks, up to each of four marks at most
(docs.anthropic.com, "Prompt caching"): here behind the tools, behind the instructions, and behind
the two latest messages of the user. The last of the two is what the next request of the
conversation finds in the cache, the one before is what this one finds. All but the marks
themselves is the same in every request of a conversation: a text is always written as a block, as a
marked one must be.
"""

from __future__ import annotations

from typing import Any, Final

_MARK: Final = {"cache_control": {"type": "ephemeral"}}
_LATEST: Final = 2


def mark(body: dict[str, Any]) -> None:
    """Set the breakpoints in `body`, unless the caller has set any itself."""
    system, tools, messages = body.get("system", []), body.get("tools", []), body["messages"]
    if isinstance(system, str):
        system = body["system"] = _blocks(system)
    for message in messages:
        message["content"] = _blocks(message["content"])
    if any("cache_control" in each for each in (*tools, *system)) or any(
        "cache_control" in each for message in messages for each in message["content"]
    ):
        return
    asked = [message["content"] for message in messages if message["role"] == "user"]
    for marked in (tools, system, *asked[-_LATEST:]):
        if marked:
            marked[-1] = {**marked[-1], **_MARK}


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
