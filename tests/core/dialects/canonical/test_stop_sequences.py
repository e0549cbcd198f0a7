"""Stop sequences that the provider does not take, in any chunking of the text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import Dialect
from gateway.core.dialects.canonical.events import (
    BlockStarted,
    BlockStopped,
    Event,
    Grown,
    Stopped,
    StopReason,
)
from gateway.core.dialects.canonical.stop_sequences import LONGEST, MOST_SEQUENCES, CutAnswer
from gateway.core.dialects.model_terms import ModelTerms
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_responses.dialect import OPENAI_RESPONSES
from gateway.core.dialects.translators import TranslatedRequest, Untranslatable, translate

from ..openai_responses.streams import RESPONSE, USAGE
from ..openai_responses.streams import event as response_event
from .recipient import To


def cut(sequences: list[str], pieces: list[str]) -> tuple[str, Stopped]:
    events: list[Event] = [BlockStarted(0, "text")]
    events += [Grown(0, piece) for piece in pieces]
    answer = CutAnswer(sequences)
    found: list[Event] = []
    for event in [*events, BlockStopped(0), Stopped(StopReason.END)]:
        # As they come: one at a time.
        found += answer.of([event])
    stops = [event for event in found if isinstance(event, Stopped)]
    assert len(stops) == 1
    assert found[-1] is stops[0]
    assert sum(isinstance(event, BlockStopped) for event in found) == 1
    return "".join(event.text for event in found if isinstance(event, Grown)), stops[0]


def first_of(text: str, sequences: list[str]) -> tuple[str, str | None]:
    found = [
        (text.find(each) + len(each), text.find(each), each) for each in sequences if each in text
    ]
    if not found:
        return text, None
    _, at, sequence = min(found)
    return text[:at], sequence


@pytest.mark.parametrize(
    ("sequences", "text"),
    [
        (["END"], "all is well"),
        (["END"], "before END behind"),
        (["END"], "EN END"),
        (["END"], "EEND"),
        (["END"], "ends in EN"),
        (["aab"], "aaab"),
        (["\n\n", "###"], "a\nb\n\nc"),
        (["ab", "abc"], "xabc"),
        (["abc", "b"], "xabc"),
        (["bc", "c", "abc"], "xabc"),
        (["x"], "x"),
        (["\U0001f327"], "it \U0001f327 rains"),
    ],
)
def test_each_chunking_is_the_same(sequences: list[str], text: str) -> None:
    expected = first_of(text, sequences)
    whole, stopped = cut(sequences, [text])
    assert (whole, stopped.sequence) == expected
    for at in range(1, len(text)):
        said, stopped = cut(sequences, [text[:at], text[at:]])
        assert (said, stopped.sequence) == expected
    said, stopped = cut(sequences, list(text))
    assert said == expected[0]
    assert stopped.reason is (StopReason.END if expected[1] is None else StopReason.SEQUENCE)


@given(
    st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3),
    st.lists(st.text("abc", max_size=5), max_size=6),
)
def test_nothing_of_a_sequence_is_ever_shown(sequences: list[str], pieces: list[str]) -> None:
    said, stopped = cut(sequences, pieces)
    assert (said, stopped.sequence) == first_of("".join(pieces), sequences)


def asked(caller: Dialect, provider: Dialect, stop: Any, **to: Any) -> TranslatedRequest:
    name = "stop_sequences" if caller is ANTHROPIC_MESSAGES else "stop"
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], name: stop}  # noqa: E501  # fmt: skip
    request = caller.read_request(json.dumps(body | {"stream": True}).encode())
    return translate(request, caller, To(provider, **to), 1.0)


def test_a_provider_gets_what_it_takes() -> None:
    for caller, provider, stop, taken, own, to in [
        (OPENAI_CHAT, OPENAI_RESPONSES, ["a"], [], ["a"], {}),
        (OPENAI_CHAT, OPENAI_RESPONSES, "a", [], ["a"], {}),
        (ANTHROPIC_MESSAGES, OPENAI_RESPONSES, ["a"], [], ["a"], {}),
        (ANTHROPIC_MESSAGES, OPENAI_CHAT, list("abcdef"), list("abcd"), list("ef"), {}),
        (ANTHROPIC_MESSAGES, OPENAI_CHAT, ["a"], [], ["a"], {"terms": ModelTerms(stops=False)}),
        (OPENAI_CHAT, ANTHROPIC_MESSAGES, ["\n", "a"], ["a"], ["\n"], {}),
    ]:
        there = asked(caller, provider, stop, **to)
        sent = json.loads(there.inner.body)
        assert (sent.get("stop") or sent.get("stop_sequences") or []) == taken
        assert there.stops == own
        assert there.dropped == ()


@pytest.mark.parametrize("stop", [["a"] * (MOST_SEQUENCES + 1), ["a" * (LONGEST + 1)]])
def test_what_is_too_much_is_refused(stop: list[str]) -> None:
    for caller, name in ((OPENAI_CHAT, "stop"), (ANTHROPIC_MESSAGES, "stop_sequences")):
        with pytest.raises(Untranslatable) as caught:
            asked(caller, OPENAI_RESPONSES, stop)
        assert caught.value.member == name
        assert asked(caller, OPENAI_RESPONSES, stop, drops=True).dropped == (name,)


def test_an_answer_is_cut_and_its_usage_is_whole() -> None:
    part = {"type": "output_text", "text": "one two END three", "annotations": []}
    item = {"type": "message", "id": "m", "role": "assistant", "content": [part]}
    call = {"type": "function_call", "id": "f", "call_id": "c", "name": "f", "arguments": "{}"}
    last = RESPONSE | {"status": "completed", "output": [item, call], "usage": USAGE}
    stream = response_event("response.created", 0, response=RESPONSE | {"tools": []})
    stream += response_event("response.output_item.added", 1, output_index=0, item=item | {"content": []})  # noqa: E501  # fmt: skip
    for piece in ("one t", "wo E", "ND thr", "ee"):
        stream += response_event("response.output_text.delta", 1, output_index=0, content_index=0, delta=piece)  # noqa: E501  # fmt: skip
    stream += response_event("response.output_item.done", 1, output_index=0, item=item)
    stream += response_event("response.output_item.done", 1, output_index=1, item=call)
    stream += response_event("response.completed", 9, response=last)
    for caller in (OPENAI_CHAT, ANTHROPIC_MESSAGES):
        there = asked(caller, OPENAI_RESPONSES, ["END"])
        rewriter = there.start_stream(To(OPENAI_RESPONSES), b'"m"', 1 << 20)
        output = rewriter.feed(stream) + rewriter.end() + rewriter.finish()
        assert rewriter.done
        assert rewriter.usage is not None
        assert rewriter.usage.output_tokens == USAGE["output_tokens"]
        body = there.rewrite_answer(To(OPENAI_RESPONSES), b'"m"', json.dumps(last).encode()).body
        whole = json.loads(body)
        assert b"three" not in output + body
        assert b'"f"' not in output + body
        if caller is OPENAI_CHAT:
            assert whole["choices"][0]["message"]["content"] == "one two "
            assert whole["choices"][0]["finish_reason"] == "stop"
        else:
            assert whole["content"] == [{"type": "text", "text": "one two "}]
            assert (whole["stop_reason"], whole["stop_sequence"]) == ("stop_sequence", "END")
