"""Recordings of real providers in the other dialect: valid for its SDK, and saying the same.

What they say is read from the recordings by code of its own, and from the translations by the
official SDKs' models, strictly. Skipped where the recordings are not.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from tests.late import anthropic, openai

from ..core.dialects.canonical.recipient import To
from .said import (
    CHAT_REASONS,
    MESSAGE_REASONS,
    Said,
    accumulated,
    add_blocks,
    arguments,
    chat_request,
    message_request,
    said_by_chat,
    said_by_messages,
    said_in_chat,
    said_in_message,
    streamed,
)
from .test_messages import messages_of, stream_of
from .test_recordings import FOLDER, answers, recordings


@pytest.mark.parametrize(
    "path", sorted((FOLDER / "anthropic").glob("*.chunks.txt")), ids=lambda path: path.name
)
@pytest.mark.parametrize("size", [7, 1 << 20])
def test_messages_for_a_caller_of_chat(path: Path, size: int) -> None:
    for lines in messages_of(path):
        expected = said_by_messages(lines)
        request = chat_request(stream=True)
        output = streamed(request, To(ANTHROPIC_MESSAGES), stream_of(lines), size)
        found = said_in_chat(output)
        expected.reason = CHAT_REASONS[expected.reason]
        assert found == expected


@pytest.mark.parametrize(
    "path", sorted((FOLDER / "anthropic").glob("*.json")), ids=lambda path: path.name
)
def test_whole_messages_for_a_caller_of_chat(path: Path) -> None:
    given = json.loads(path.read_bytes())
    expected = Said(reason=CHAT_REASONS[given["stop_reason"]])
    expected.refusal = (given.get("stop_details") or {}).get("explanation") or ""
    add_blocks(expected, given["content"], given["usage"])
    request = chat_request(stream=False)
    answer = request.rewrite_answer(To(ANTHROPIC_MESSAGES), b'"mine"', path.read_bytes())
    completion = openai.types.chat.ChatCompletion.model_validate_json(answer.body, strict=True)
    choice = completion.choices[0]
    usage = completion.usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    found = Said(
        text=choice.message.content or "",
        thinking=getattr(choice.message, "reasoning_content", None) or "",
        refusal=choice.message.refusal or "",
        calls=[
            (call.function.name, arguments(call.function.arguments))
            for call in choice.message.tool_calls or []
            if call.type == "function"
        ],
        reason=choice.finish_reason,
        usage=(
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.prompt_tokens_details.cached_tokens or 0,
        ),
    )
    assert found == expected
    assert completion.model == "mine"


@pytest.mark.parametrize("path", recordings("*.chunks.txt"), ids=lambda path: path.name)
@pytest.mark.parametrize("size", [7, 1 << 20])
def test_chats_for_a_caller_of_messages(path: Path, size: int) -> None:
    lines = [line for line in path.read_bytes().split(b"\n") if line.strip()]
    stream = b"".join(b"data: %b\n\n" % line for line in lines) + b"data: [DONE]\n\n"
    request = message_request(stream=True)
    # Usage is what the relay within chat has read, which has tests of its own.
    same = OPENAI_CHAT.read_request(request.inner.body).start_stream(
        To(OPENAI_CHAT), b'"m"', 1 << 24
    )
    same.feed(stream)
    usage = same.usage
    assert usage is not None
    found = said_in_message(accumulated(streamed(request, To(OPENAI_CHAT), stream, size)))
    expected = said_by_chat(lines)
    expected.reason = MESSAGE_REASONS[expected.reason]
    expected.usage = (usage.input_tokens, usage.output_tokens, usage.cached_tokens)
    assert found == expected


@pytest.mark.parametrize(
    "path", answers(recordings("*.json"), "choices"), ids=lambda path: path.name
)
def test_whole_chats_for_a_caller_of_messages(path: Path) -> None:
    given = json.loads(path.read_bytes())
    request = message_request(stream=False)
    answer = request.rewrite_answer(To(OPENAI_CHAT), b'"mine"', path.read_bytes())
    message = anthropic.types.Message.model_validate_json(answer.body, strict=True)
    found = said_in_message(message)
    choice = given["choices"][0]
    said = choice["message"]
    expected = Said(
        text=said.get("content") or "",
        thinking=said.get("reasoning_content") or said.get("reasoning") or "",
        calls=[
            (call["function"]["name"], arguments(call["function"]["arguments"]))
            for call in said.get("tool_calls") or []
        ],
        reason=MESSAGE_REASONS[choice["finish_reason"]],
    )
    assert answer.usage is not None
    usage = answer.usage
    expected.usage = (usage.input_tokens, usage.output_tokens, usage.cached_tokens)
    assert found == expected
