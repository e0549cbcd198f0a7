"""The items of an input, read (openai-python `types/responses/response_input_item_param.py`).

What a model said in one go is several items: reasoning, messages, calls. They become one turn, as
other APIs want the calls of a turn together, and their results behind it.
"""

from __future__ import annotations

from typing import Final, cast

import msgspec

from .....errors import InvalidRequest
from ...canonical.call import Block, Role, Text, Thinking, Tool, ToolCall, ToolResult, Turn
from ...canonical.fidelity import Fidelity, Untranslatable
from ...canonical.opaque import untagged
from ...canonical.own_tools.tool import OwnTool
from ...canonical.reading import Fields, fields_of, is_text, items_of, member_text, text_of
from .option_reader import read_tools
from .part_reader import read_parts
from .reasoning_state import BETWEEN_PARTS

_Raw = msgspec.Raw

_ROLES: Final = frozenset({"system", "developer", "user", "assistant"})
_REFERENCE: Final = "item_reference"
_CALLS: Final = {"function_call": "arguments", "custom_tool_call": "input"}
_RESULTS: Final = frozenset({"function_call_output", "custom_tool_call_output"})
# Of every item: what only its provider's own books need.
_BOOKS: Final = frozenset({"type", "id", "status"})
_KNOWN: Final = {
    "message": frozenset({"role", "content"}),
    "function_call": frozenset({"call_id", "name", "namespace", "arguments"}),
    "custom_tool_call": frozenset({"call_id", "name", "namespace", "input"}),
    "function_call_output": frozenset({"call_id", "output", "name", "namespace"}),
    "custom_tool_call_output": frozenset({"call_id", "output", "name", "namespace"}),
    "reasoning": frozenset({"summary", "content", "encrypted_content"}),
    "additional_tools": frozenset({"role", "tools"}),
}
# What OpenAI's servers did by themselves: no calls of the caller's, and what came of them stands
# in the messages behind. `configuration_update` is a note of Codex to its own servers.
_OF_SERVERS: Final = frozenset(
    {
        *("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call"),
        *("mcp_list_tools", "mcp_call", "mcp_approval_request", "mcp_approval_response"),
        *("tool_search_call", "tool_search_output", "program", "program_output", "x_search_call"),
        "configuration_update",
    }
)
KEPT: Final = (
    "only the provider that keeps it can go on from it, and this one keeps no responses; with "
    "[responses] store = true the gateway keeps those that it makes itself"
)
_OPENAI: Final = "only OpenAI has items of this type"


class ItemReader:
    """Reads one input. `tools` and `own_tools` are those that stand among its items."""

    def __init__(self, fidelity: Fidelity) -> None:
        self.tools: list[Tool] = []
        self.own_tools: list[OwnTool] = []
        self._fidelity = fidelity
        self._turns: list[Turn] = []

    def read(self, raw: _Raw) -> list[Turn]:
        """Return the turns of an `input`. Raises InvalidRequest and Untranslatable."""
        if is_text(raw):
            return [Turn("user", [Text(text_of(raw, "input"))], path="input")]
        for number, item in enumerate(items_of(raw, "input")):
            path = f"input.{number}"
            self._item(fields_of(item, path), path)
        return self._turns

    def _item(self, item: Fields, path: str) -> None:
        kind = member_text(item, "type", path, _kind_of(item))
        for name in sorted(item.keys() - _BOOKS - _KNOWN.get(kind, item.keys())):
            # One name for all items: some clients write their own members into each.
            self._fidelity.hint(f"input.{name}")
        if kind == "message":
            self._message(item, path)
        elif kind in _CALLS:
            self._call(item, kind, path)
        elif kind in _RESULTS:
            output = item.get("output", _Raw(b'""'))
            blocks = read_parts(output, f"{path}.output", self._fidelity)
            result = ToolResult(member_text(item, "call_id", path), blocks)
            self._turns.append(Turn("user", [result], path=path))
        elif kind == "reasoning":
            self._reasoning(item, path)
        elif kind == "additional_tools":
            where = f"{path}.tools"
            given = item.get("tools", _Raw(b"[]"))
            tools, own = read_tools(given, where, self._fidelity)
            self.tools += tools
            self.own_tools += own
        elif kind == _REFERENCE:
            raise Untranslatable(path, KEPT)
        elif kind in _OF_SERVERS:
            self._fidelity.hint(f"{path} ({kind})")
        else:
            self._fidelity.demand(f"{path} ({kind})", _OPENAI)

    def _message(self, item: Fields, path: str) -> None:
        role = member_text(item, "role", path)
        if role not in _ROLES:
            raise InvalidRequest(f"{path}.role: {role!r} is no role", param=f"{path}.role")
        content = item.get("content", _Raw(b"[]"))
        blocks = read_parts(content, f"{path}.content", self._fidelity)
        if role != "assistant":
            self._turns.append(Turn(cast("Role", role), blocks, path=path))
            return
        turn = self._turns[-1] if self._turns else None
        if turn is not None and turn.role == "assistant":
            calls = any(isinstance(each, ToolCall) for each in turn.blocks)
            if calls or all(isinstance(each, Thinking) for each in turn.blocks):
                # A message behind calls must not come between them and their results.
                turn.blocks += blocks
                return
        self._turns.append(Turn("assistant", blocks, path=path))

    def _call(self, item: Fields, kind: str, path: str) -> None:
        text = item.get(_CALLS[kind], _Raw(b'""'))
        # Some servers write arguments as the object that they are.
        said = text_of(text, path) if is_text(text) else bytes(text).decode("utf-8", "replace")
        call = ToolCall(
            id=member_text(item, "call_id", path),
            name=member_text(item, "name", path),
            arguments=said,
            custom=kind == "custom_tool_call",
            namespace=member_text(item, "namespace", path, ""),
        )
        self._goes_on(call, path)

    def _reasoning(self, item: Fields, path: str) -> None:
        texts: list[str] = []
        for name in ("summary", "content"):
            parts = items_of(item.get(name, _Raw(b"[]")), f"{path}.{name}")
            found = [
                member_text(fields_of(part, f"{path}.{name}"), "text", f"{path}.{name}", "")
                for part in parts
            ]
            texts = texts or found
        family, signature = untagged(member_text(item, "encrypted_content", path, ""))
        text = BETWEEN_PARTS.join(texts)
        thinking = Thinking(text, family, signature, encrypted=not text and bool(signature))
        turn = self._turns[-1] if self._turns else None
        if turn is not None and turn.role == "assistant" and _ends_in_text(turn):
            self._turns.append(Turn("assistant", [thinking], path=path))
        else:
            self._goes_on(thinking, path)

    def _goes_on(self, block: Block, path: str) -> None:
        """Add to what the model has said last."""
        if self._turns and self._turns[-1].role == "assistant":
            self._turns[-1].blocks.append(block)
        else:
            self._turns.append(Turn("assistant", [block], path=path))


def _kind_of(item: Fields) -> str | None:
    """Return the type of an item that does not say it, if it is one of those that need not."""
    if "role" in item:
        return "message"
    return _REFERENCE if item.keys() == {"id"} else None


def _ends_in_text(turn: Turn) -> bool:
    return bool(turn.blocks) and isinstance(turn.blocks[-1], Text)
