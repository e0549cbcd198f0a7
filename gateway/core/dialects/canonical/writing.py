"""What the writers of calls have in common."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .call import Block, CanonicalCall, Document, Thinking, ToolCall, ToolResult, Turn
from .fidelity import Fidelity
from .reading import is_object, number

_HARMLESS: Final = (
    *("seed", "metadata", "cache_key", "cache_retention", "safety_id", "verbosity"),
)
_NUMBERS: Final = ("presence_penalty", "frequency_penalty", "top_logprobs")
_SWITCHES: Final = ("logprobs", "logit_bias")
_OFF: Final = (b"false", b"{}")
# Anthropic's form for arguments that are no JSON object (docs.anthropic.com, "Fine-grained tool
# streaming", handling invalid JSON), where the API must have one.
_INVALID: Final = "INVALID_JSON"
_NO_INPUT: Final = msgspec.Raw(b"{}")


def split_turns(turns: list[Turn]) -> tuple[list[Turn], list[Turn]]:
    """Return what stands before the conversation, and the conversation.

    A conversation needs a message: the last of instructions alone becomes one.
    """
    count = 0
    while count < len(turns) and turns[count].role in ("system", "developer"):
        count += 1
    head, rest = turns[:count], turns[count:]
    if head and not rest:
        rest = [msgspec.structs.replace(head.pop(), role="user")]
    return head, rest


def leave_out(call: CanonicalCall, fidelity: Fidelity, api: str) -> None:
    """Leave out what only OpenAI's APIs have a form for; `api` is whose has not.

    Raises Untranslatable for what changes the answer.
    """
    for name in _HARMLESS:
        if getattr(call, name) is not None:
            fidelity.hint(call.path(name))
    for name in _NUMBERS:
        value = getattr(call, name)
        if value is not None and number(value, call.path(name)):
            fidelity.demand(call.path(name), f"{api} API has nothing like it")
    for name in _SWITCHES:
        value = getattr(call, name)
        if value is not None and bytes(value) not in _OFF:
            fidelity.demand(call.path(name), f"{api} API has nothing like it")
    if call.answers is not None and number(call.answers, call.path("answers")) > 1:
        fidelity.demand(call.path("answers"), f"{api} API gives one answer")


def forget_citations(turns: list[Turn], fidelity: Fidelity) -> None:
    """Leave out that documents are to be cited, for an API that has no way to ask for it."""
    for turn in turns:
        _forget(turn.blocks, fidelity)


def _forget(blocks: list[Block], fidelity: Fidelity) -> None:
    for block in blocks:
        if isinstance(block, ToolResult):
            _forget(block.blocks, fidelity)
        elif isinstance(block, Document) and block.cited:
            fidelity.hint(block.cited)
            block.cited = ""


def goes_on_unthought(turns: list[Turn], family: str) -> bool:
    """Say whether the model goes on from calls of its own, and what it thought is not there.

    By a budget Anthropic's models then cannot be asked to think: "when thinking is enabled, a final
    assistant message must start with a thinking block" (docs.anthropic.com, "Extended thinking").
    Not every API has a place for its signature. Adaptive thinking does not ask for that.
    """
    last = next((n for n in reversed(range(len(turns))) if turns[n].role == "assistant"), None)
    if last is None:
        return False
    behind = (block for turn in turns[last + 1 :] for block in turn.blocks)
    if not any(isinstance(block, ToolResult) for block in behind):
        return False
    thoughts = [block for block in turns[last].blocks if isinstance(block, Thinking)]
    return not any(each.family == family and each.signature for each in thoughts)


def written_input(call: ToolCall) -> Any:
    """Return a call's arguments for an API in which they are an object."""
    if call.custom:
        return {"input": call.arguments}
    if not call.arguments.strip():
        return _NO_INPUT
    if is_object(call.arguments):
        return msgspec.Raw(call.arguments.encode())
    return {_INVALID: call.arguments}
