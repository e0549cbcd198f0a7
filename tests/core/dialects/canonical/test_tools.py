"""Tools that only Responses have, as functions, and their calls on the way back."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.dialects.canonical.call import CanonicalCall, Tool, ToolCall, ToolChoice, Turn
from gateway.core.dialects.canonical.events import (
    BlockStarted,
    BlockStopped,
    Event,
    Grown,
    Stopped,
    StopReason,
)
from gateway.core.dialects.canonical.fidelity import Fidelity
from gateway.core.dialects.canonical.tools import (
    INPUT_BEGINS,
    INPUT_ENDS,
    RestoredCalls,
    inner_text,
    plain_tools,
)


def plain(*tools: Tool, turns: list[Turn] | None = None, choice: ToolChoice | None = None) -> tuple[CanonicalCall, dict[str, Tool], Fidelity]:  # noqa: E501  # fmt: skip
    fidelity = Fidelity(drop=False)
    call = CanonicalCall(turns or [], tools=[*tools], choice=choice)
    found, names = plain_tools(call, fidelity)
    return found, names, fidelity


def test_functions_stay_as_they_are() -> None:
    call = CanonicalCall([], tools=[Tool("f")])
    assert plain_tools(call, Fidelity(drop=False)) == (call, {})


def test_names_within_namespaces_are_told_apart() -> None:
    tools = [
        Tool("a__b"),
        Tool("b", namespace="a"),
        Tool("b", namespace="x"),
        Tool("y" * 64, namespace="long"),
        Tool("y" * 63, namespace="long"),
    ]
    found, names, _ = plain(*tools)
    shown = [tool.name for tool in found.tools]
    assert shown[:3] == ["a__b", "a__b_2", "x__b"]
    assert len(set(shown)) == len(shown)
    assert max(map(len, shown)) == 64
    assert {name: (tool.namespace, tool.name) for name, tool in names.items()} == {
        shown[number]: (tools[number].namespace, tools[number].name) for number in range(1, 5)
    }
    assert all(not tool.namespace for tool in found.tools)


def test_a_custom_tool_is_a_function_of_one_text() -> None:
    grammar = msgspec.Raw(b'{"type":"grammar"}')
    tool = Tool("c", "About it.", path="tools.0", custom=True, grammar=grammar)
    calls = [
        ToolCall("1", "c", 'say "hi"', custom=True),
        ToolCall("2", "gone", "x", custom=True, namespace="n"),
    ]
    choice = ToolChoice("tool", ("c",))
    found, names, fidelity = plain(tool, turns=[Turn("assistant", [*calls])], choice=choice)
    [shown] = found.tools
    assert shown.schema is not None
    assert json.loads(bytes(shown.schema))["required"] == ["input"]
    assert shown.description == 'About it.\n\nThe input must have this format: {"type":"grammar"}'
    assert fidelity.dropped == ("tools.0.format",)
    assert names == {"c": tool}
    assert found.choice == choice
    assert found.turns[0].blocks == [
        ToolCall("1", "c", '{"input":"say \\"hi\\""}'),
        ToolCall("2", "n__gone", '{"input":"x"}'),
    ]
    # The caller's own request is as it was.
    assert calls[0].custom


@given(st.text(), st.lists(st.integers(1, 9)))
def test_a_custom_call_comes_back_however_it_is_split(text: str, cuts: list[int]) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    arguments = json.dumps({"input": text})
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(arguments[at : at + cut])
        at += cut
    pieces.append(arguments[at:])
    events: list[Event] = [BlockStarted(0, "call", "id", "n__c")]
    events += [Grown(0, piece) for piece in pieces]
    tool = Tool("c", namespace="n", custom=True)
    found = [*RestoredCalls({"n__c": tool}).of([*events, BlockStopped(0)])]
    begun = BlockStarted(0, "call", "id", "c", custom=True, namespace="n")
    told = [Grown(0, text)] if text else []
    assert found == [begun, *told, BlockStopped(0)]
    assert json.loads(INPUT_BEGINS + inner_text(text) + INPUT_ENDS) == {"input": text}


@pytest.mark.parametrize("arguments", ["no JSON", '{"other":1}', "[]"])
def test_what_keeps_to_no_form_is_told_as_it_is(arguments: str) -> None:
    calls = RestoredCalls({"c": Tool("c", custom=True)})
    started: list[Event] = [BlockStarted(3, "call", "id", "c"), Grown(3, arguments)]
    found = [*calls.of(started), *calls.of([Stopped(StopReason.CALLS)])]
    assert found[1:] == [Grown(3, arguments), Stopped(StopReason.CALLS)]


def test_other_blocks_pass() -> None:
    events: list[Event] = [
        BlockStarted(0, "text"),
        Grown(0, "x"),
        BlockStarted(1, "call", "i", "f"),
    ]
    assert [*RestoredCalls({"c": Tool("c", custom=True)}).of(events)] == events
