"""What the writers of calls have in common."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import Dialect, ReasoningForm
from gateway.core.dialects.bedrock_converse.dialect import BEDROCK_CONVERSE
from gateway.core.dialects.canonical.call import Document, Text, ToolResult, Turn
from gateway.core.dialects.canonical.fidelity import Fidelity
from gateway.core.dialects.canonical.writing import forget_citations
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.translators import translate

from .recipient import To

HI: Final = {"role": "user", "content": "Hi"}
CALL: Final = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
RESULT: Final = {"role": "tool", "tool_call_id": "c", "content": "1"}
SIGNED: Final = {
    "type": "reasoning.text",
    "text": "Hm.",
    "signature": "~GATEWAY~STATE~1~:anthropic_messages:sig",
}


@pytest.mark.parametrize("to", [ANTHROPIC_MESSAGES, BEDROCK_CONVERSE], ids=lambda each: each.name)
def test_a_model_that_goes_on_unthought_is_not_asked_to_think_by_a_budget(to: Dialect) -> None:
    called: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    signed = called | {"reasoning_details": [SIGNED]}
    cases: tuple[tuple[list[dict[str, Any]], ReasoningForm, bool], ...] = (
        ([HI], "budget", True),
        ([HI, called, RESULT], "budget", False),
        ([HI, signed, RESULT], "budget", True),
        # It answers, and is asked anew: what it thought before is no matter.
        ([HI, called, RESULT, {"role": "assistant", "content": "So"}, HI], "budget", True),
        ([HI, called, RESULT], "adaptive", True),
    )
    for messages, form, thinks in cases:
        body = {"model": "m", "messages": messages, "reasoning_effort": "high"}
        recipient = To(to, model_json=b'"anthropic.claude-x"', reasoning=form)
        request = OPENAI_CHAT.read_request(json.dumps(body).encode())
        found = translate(request, OPENAI_CHAT, recipient, 1.5)
        assert (b'"thinking":{"type":' in found.inner.body) is thinks, messages
        assert ("reasoning_effort" in found.dropped) is not thinks


def test_citations_that_cannot_be_asked_for_are_listed() -> None:
    inner = Document(text="x", cited="a.citations")
    blocks: list[Any] = [Text("t"), ToolResult("c", [inner]), Document(text="y", cited="b")]
    fidelity = Fidelity(drop=False)
    forget_citations([Turn("user", blocks)], fidelity)
    assert fidelity.dropped == ("a.citations", "b")
    assert not inner.cited
