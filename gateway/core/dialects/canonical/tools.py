"""Tools that an API has no form for, as functions, and their calls on the way back.

    custom      takes any text. Elsewhere it is a function of one string, `input`, and what its
                calls say is taken out of that again.
    namespace   is put before the name of the tool: `clock__sleep`. Names that would be too long or
                that another tool has get a number.

OpenAI's Responses have both, chats and Messages neither: OpenAI's own chat completions have custom
tools, but hardly any other server with that API.

And functions, and the words by which one is chosen, read as several APIs have them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from .call import Block, CanonicalCall, Tool, ToolCall, ToolChoice, Turn
from .events import BlockStarted, BlockStopped, Event, Grown, Stopped
from .fidelity import Fidelity
from .reading import Fields, fields_of, items_of, member_text, text_of

_ENCODE: Final = msgspec.json.Encoder().encode
# The strictest limit on a tool's name (platform.openai.com/docs/api-reference/chat/create).
_LONGEST: Final = 64
_INPUT: Final = msgspec.Raw(
    b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],'
    b'"additionalProperties":false}'
)


class _Input(msgspec.Struct):
    input: str


_GIVEN: Final = msgspec.json.Decoder(_Input)

# Characters that are held of all of an answer's calls of custom tools.
MOST_HELD_TEXT: Final = 16 * 1024 * 1024
# What stands around the text of a call where it is shown as a function's.
INPUT_BEGINS: Final = '{"input":"'
INPUT_ENDS: Final = '"}'

# Tools as the caller has named them, by the names under which a provider knows them.
ToolNames = dict[str, Tool]


def plain_tools(call: CanonicalCall, fidelity: Fidelity) -> tuple[CanonicalCall, ToolNames]:
    """Return `call` with functions in place of all other tools, and what they stand for."""
    if not any(each.custom or each.namespace for each in call.tools) and not _has_such_calls(call):
        return call, {}
    names: ToolNames = {}
    tools: list[Tool] = []
    taken = {each.name for each in call.tools if not each.namespace}
    for tool in call.tools:
        plain = _plain(tool, taken, fidelity)
        if plain is not tool:
            names[plain.name] = tool
        tools.append(plain)
    shown = {(each.namespace, each.name): name for name, each in names.items()}
    turns = [_turn(turn, shown) for turn in call.turns]
    choice = _choice(call.choice, shown)
    return msgspec.structs.replace(call, tools=tools, turns=turns, choice=choice), names


def inner_text(text: str) -> str:
    """Return a piece of such a text as it stands in the JSON."""
    return _ENCODE(text).decode()[1:-1]


def _has_such_calls(call: CanonicalCall) -> bool:
    return any(
        isinstance(block, ToolCall) and (block.custom or block.namespace)
        for turn in call.turns
        if turn.role == "assistant"
        for block in turn.blocks
    )


def _plain(tool: Tool, taken: set[str], fidelity: Fidelity) -> Tool:
    if not (tool.custom or tool.namespace):
        return tool
    name = tool.name
    if tool.namespace:
        name = _free(f"{tool.namespace}__{tool.name}", taken)
        taken.add(name)
    if not tool.custom:
        return msgspec.structs.replace(tool, name=name, namespace="")
    description = tool.description
    if tool.grammar is not None:
        # Nothing holds the model to it there, so it is told at least.
        fidelity.hint(f"{tool.path}.format")
        told = f"The input must have this format: {bytes(tool.grammar).decode()}"
        description = told if description is None else f"{description}\n\n{told}"
    return Tool(name, description, _INPUT, None, tool.cache, tool.path)


def _free(name: str, taken: set[str]) -> str:
    found, number = name[:_LONGEST], 1
    while found in taken:
        number += 1
        end = f"_{number}"
        found = name[: _LONGEST - len(end)] + end
    return found


def _turn(turn: Turn, shown: dict[tuple[str, str], str]) -> Turn:
    if turn.role != "assistant":
        return turn
    return msgspec.structs.replace(turn, blocks=[_block(each, shown) for each in turn.blocks])


def _block(block: Block, shown: dict[tuple[str, str], str]) -> Block:
    if not isinstance(block, ToolCall) or not (block.custom or block.namespace):
        return block
    # A call of a tool that is not offered any more keeps a name that it would have had.
    unknown = f"{block.namespace}__{block.name}" if block.namespace else block.name
    name = shown.get((block.namespace, block.name), unknown[:_LONGEST])
    text = block.arguments
    if block.custom:
        text = _ENCODE(_Input(text)).decode()
    return ToolCall(block.id, name, text, cache=block.cache)


def _choice(choice: ToolChoice | None, shown: dict[tuple[str, str], str]) -> ToolChoice | None:
    if choice is None or not choice.names:
        return choice
    # A choice names a tool without its namespace.
    plain = {name: flat for (_, name), flat in shown.items()}
    return ToolChoice(
        choice.mode, tuple(plain.get(name, name) for name in choice.names), choice.own
    )


class RestoredCalls:
    """The calls of an answer as the caller knows their tools."""

    def __init__(self, names: ToolNames) -> None:
        self._names = names
        # What is held of calls to custom tools, by their index: a string is only known as a whole.
        self._held: dict[int, list[str]] = {}
        self._size = 0

    def of(self, events: Iterable[Event]) -> Iterable[Event]:
        """Yield `events`, with the calls as they are to be shown."""
        for event in events:
            if isinstance(event, BlockStarted) and event.kind == "call":
                yield self._begun(event)
            elif isinstance(event, Grown) and event.index in self._held:
                self._size += len(event.text)
                if self._size > MOST_HELD_TEXT:
                    raise ValueError("calls of custom tools are too long")
                self._held[event.index].append(event.text)
            elif isinstance(event, BlockStopped) and event.index in self._held:
                yield from self._told(event.index)
                yield event
            elif isinstance(event, Stopped):
                for index in list(self._held):
                    yield from self._told(index)
                yield event
            else:
                yield event

    def _told(self, index: int) -> Iterator[Event]:
        text = _input_of("".join(self._held.pop(index)))
        if text:
            yield Grown(index, text)

    def _begun(self, event: BlockStarted) -> BlockStarted:
        tool = self._names.get(event.name)
        if tool is None:
            return event
        if tool.custom:
            self._held[event.index] = []
        return msgspec.structs.replace(
            event, name=tool.name, namespace=tool.namespace, custom=tool.custom
        )


def _input_of(arguments: str) -> str:
    """Return what a call of a custom tool says; all of it where the model kept to no form."""
    try:
        return _GIVEN.decode(arguments).input
    except (msgspec.DecodeError, UnicodeEncodeError):
        return arguments


def read_functions(fields: Fields, *, strict: bool | None = None) -> list[Tool]:
    """Return the functions in `tools`, as the APIs have them that took OpenAI's form."""
    found = []
    for index, item in enumerate(items_of(fields.get("tools", msgspec.Raw(b"[]")), "tools")):
        path = f"tools.{index}.function"
        tool = fields_of(item, f"tools.{index}")
        function = fields_of(tool.get("function", msgspec.Raw(b"0")), path)
        found.append(
            Tool(
                name=member_text(function, "name", path),
                description=member_text(function, "description", path, "") or None,
                schema=function.get("parameters"),
                strict=strict,
                path=path,
            )
        )
    return found


def read_choice_word(raw: msgspec.Raw, path: str, fidelity: Fidelity) -> ToolChoice | None:
    """Return the choice that OpenAI's APIs have a word for."""
    word = text_of(raw, path)
    if word == "required":
        return ToolChoice("any")
    if word in ("none", "auto"):
        return ToolChoice("none" if word == "none" else "auto")
    fidelity.demand(path, f"{word!r} is unknown")
    return None
