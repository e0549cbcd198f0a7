"""A request for content, read into canonical form (ai.google.dev/api/generate-content)."""

from __future__ import annotations

from typing import Final

import msgspec

from .....errors import InvalidRequest
from ...canonical.call import Block, CanonicalCall, Role, Text, Thinking, ToolResult, Turn
from ...canonical.fidelity import Fidelity
from ...canonical.reading import Fields, is_text, member_text, text_of
from ..request import ContentRequest
from .call_ids import CallIds
from .members import listed, members_of
from .option_reader import PATHS, read_config, read_tools
from .part_reader import read_parts

_Raw = msgspec.Raw
_KNOWN: Final = frozenset(
    {
        *("model", "stream", "contents", "systemInstruction", "tools", "toolConfig"),
        *("generationConfig", "serviceTier"),
    }
)
# Harmless: thresholds of Google's own filters, labels of its bills, what it keeps.
_HINTS: Final = frozenset({"safetySettings", "labels", "store"})
# `function` was the role of responses in the first version of the API.
_ROLES: Final[dict[str, Role]] = {"user": "user", "model": "assistant", "function": "user"}
_TIERS: Final = ("", "unspecified", "standard", "service_tier_unspecified")


def read_call(request: ContentRequest, fidelity: Fidelity) -> CanonicalCall:
    """Return the request. Raises InvalidRequest (400) and Untranslatable."""
    fields = members_of(request.body, "")
    for name in sorted(fields.keys() - _KNOWN):
        if name in _HINTS:
            fidelity.hint(name)
        else:
            fidelity.demand(name, "only Google's API has this member")
    turns = _system(fields, fidelity) + _turns(fields, fidelity)
    call = CanonicalCall(turns=turns, stream=request.stream, paths=PATHS)
    read_tools(call, fields, fidelity)
    config = fields.get("generationConfig", _Raw(b"{}"))
    read_config(call, members_of(config, "generationConfig"), fidelity)
    tier = member_text(fields, "serviceTier", "", "").lower()
    if tier not in _TIERS:
        call.service_tier = tier
    return call


def _system(fields: Fields, fidelity: Fidelity) -> list[Turn]:
    path = "systemInstruction"
    if path not in fields:
        return []
    raw = fields[path]
    if is_text(raw):
        return [Turn("system", [Text(text_of(raw, path))], head=True, path=path)]
    parts = members_of(raw, path).get("parts", _Raw(b"[]"))
    blocks = read_parts(parts, f"{path}.parts", CallIds(), fidelity)
    return [Turn("system", blocks, head=True, path=path)] if blocks else []


def _turns(fields: Fields, fidelity: Fidelity) -> list[Turn]:
    if "contents" not in fields:
        raise InvalidRequest("contents is missing", param="contents")
    found: list[Turn] = []
    ids = CallIds()
    for number, item in enumerate(listed(fields["contents"], "contents")):
        path = f"contents.{number}"
        content = members_of(item, path)
        given = member_text(content, "role", path, "user")
        role = _ROLES.get(given.lower())
        if role is None:
            raise InvalidRequest(f"{path}.role: {given!r} is no role", param=f"{path}.role")
        blocks = read_parts(content.get("parts", _Raw(b"[]")), f"{path}.parts", ids, fidelity)
        if role == "user":
            # Results first: other APIs want them right behind their calls.
            blocks.sort(key=lambda each: not isinstance(each, ToolResult))
        if blocks and role == "assistant" and found and found[-1].role == role:
            # google-genai's chats keep each event of a stream as a content of its own.
            found[-1].blocks += blocks
        elif blocks:
            found.append(Turn(role, blocks, path=path))
    return _tidied(found)


def _tidied(turns: list[Turn]) -> list[Turn]:
    """Return `turns` without thoughts that a carried state has as well, and with texts joined."""
    thoughts = [each for turn in turns for each in turn.blocks if isinstance(each, Thinking)]
    carried = [each.text for each in thoughts if each.family]
    for turn in turns:
        if turn.role == "assistant":
            turn.blocks = _joined(turn.blocks, carried)
    return [turn for turn in turns if turn.blocks]


def _joined(blocks: list[Block], carried: list[str]) -> list[Block]:
    found: list[Block] = []
    for block in blocks:
        last = found[-1] if found else None
        if isinstance(block, Thinking) and not (block.family or block.signature):
            if any(block.text in text for text in carried):
                continue
            if isinstance(last, Thinking) and not (last.family or last.signature):
                last.text += block.text
                continue
        elif isinstance(block, Text) and isinstance(last, Text):
            last.text += block.text
            continue
        found.append(block)
    return found
