"""The scoreboard: every recorded stream of three dialects in each of them, and how many say it all.

A stream counts if what its caller gets is valid for the official SDK of the caller's dialect,
strictly, and says the same: text, thinking, calls with their arguments, refusal, why it stopped,
and usage. Run it with `-s` to see the table. Skipped where the recordings are not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from anthropic.types import Message
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import Dialect, DialectRequest, StreamRewriter
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_responses.dialect import OPENAI_RESPONSES
from gateway.core.dialects.translators import translate

from ..core.dialects.canonical.recipient import To
from .said import (
    Said,
    accumulated,
    add_blocks,
    arguments,
    last_response,
    said_by_chat,
    said_by_messages,
    said_by_response,
    said_by_responses,
    said_in_chat,
    said_in_message,
    said_in_response,
)
from .test_messages import lines_of, messages_of, stream_of
from .test_recordings import FOLDER, recordings

DIALECTS: Final = (OPENAI_CHAT, ANTHROPIC_MESSAGES, OPENAI_RESPONSES)
# One word for what each dialect calls it.
REASONS: Final = {
    **dict.fromkeys(("stop", "end_turn", "stop_sequence", "pause_turn", "completed"), "end"),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens"), "length"),
    **dict.fromkeys(("tool_calls", "tool_use", "calls"), "calls"),
    **dict.fromkeys(("content_filter", "refusal"), "refusal"),
}
# The part of them that has to be right: all.
FLOOR: Final = 1.0
Source = tuple[str, Dialect, list[bytes], Said]


def responses_of(path: Path) -> Iterator[list[bytes]]:
    """Yield the responses of a recording, some of which hold several."""
    found: list[bytes] = []
    for line in lines_of(path):
        found.append(line)
        if json.loads(line)["type"] in ("response.completed", "response.incomplete"):
            yield found
            found = []


def response_recordings(pattern: str) -> list[Path]:
    folders = ("openai/responses", "xai/responses", "open-responses/responses", "azure")
    found = [path for each in folders for path in sorted((FOLDER / each).glob(pattern))]
    return [path for path in found if not path.name.startswith("azure-deepseek")]


def sources() -> Iterator[Source]:
    for path in recordings("*.chunks.txt"):
        lines = lines_of(path)
        said = said_by_chat(lines)
        said.usage = chat_usage(lines)
        yield path.name, OPENAI_CHAT, lines, said
    for path in sorted((FOLDER / "anthropic").glob("*.chunks.txt")):
        for lines in messages_of(path):
            yield path.name, ANTHROPIC_MESSAGES, lines, said_by_messages(lines)
    for path in response_recordings("*.chunks.txt"):
        for lines in responses_of(path):
            yield path.name, OPENAI_RESPONSES, lines, said_by_responses(lines)


def chat_usage(lines: list[bytes]) -> tuple[int, int, int]:
    """Return what the chunks of a chat say together: reasoning may stand beside the rest."""
    found: dict[str, Any] = {}
    for line in lines:
        chunk = json.loads(line)
        usage = chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage") or {}
        for choice in chunk.get("choices") or []:
            usage = usage or choice.get("usage") or {}
        found |= {key: value for key, value in usage.items() if value}
    prompt = found.get("prompt_tokens", 0)
    output = max(found.get("completion_tokens", 0), found.get("total_tokens", 0) - prompt)
    details = found.get("prompt_tokens_details") or {}
    cached = details.get("cached_tokens") or found.get("prompt_cache_hit_tokens") or 0
    return prompt, output, cached or found.get("cached_tokens", 0)


def wire(dialect: Dialect, lines: list[bytes]) -> bytes:
    if dialect is OPENAI_CHAT:
        return b"".join(b"data: %b\n\n" % line for line in lines) + b"data: [DONE]\n\n"
    return stream_of(lines)


def asked(caller: Dialect, provider: Dialect, *, stream: bool) -> DialectRequest:
    body: dict[str, Any] = {"model": "m", "stream": stream}
    if caller is OPENAI_RESPONSES:
        body["input"] = "Hi"
    else:
        body["messages"] = [{"role": "user", "content": "Hi"}]
    if caller is ANTHROPIC_MESSAGES:
        body["max_tokens"] = 64
    if caller is OPENAI_CHAT and stream:
        body["stream_options"] = {"include_usage": True}
    request = caller.read_request(json.dumps(body).encode())
    if caller is provider:
        return request
    return translate(request, caller, To(provider), 1234.5)


def shown(caller: Dialect, provider: Dialect, stream: bytes, size: int) -> bytes:
    rewriter: StreamRewriter = asked(caller, provider, stream=True).start_stream(
        To(provider), b'"mine"', 1 << 24
    )
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    output = b"".join([rewriter.feed(piece) for piece in pieces]) + rewriter.end()
    assert (rewriter.error, rewriter.broken, rewriter.malformed) == (None, None, 0)
    assert rewriter.done
    return output + rewriter.finish()


READ: Final[dict[str, Callable[[bytes], Said]]] = {
    OPENAI_CHAT.name: said_in_chat,
    ANTHROPIC_MESSAGES.name: lambda output: said_in_message(accumulated(output)),
    OPENAI_RESPONSES.name: lambda output: said_in_response(last_response(output)),
}


def neutral(said: Said) -> Said:
    # A refusal has no words of its own in Messages: its text says it.
    return replace(said, reason=REASONS[said.reason], text=said.text + said.refusal, refusal="")


def translated(provider: Dialect, caller: Dialect, said: Said) -> Said:
    """Return what a caller should get of `said`, where its dialect knows one thing less."""
    expected = neutral(said)
    if caller is ANTHROPIC_MESSAGES and provider is ANTHROPIC_MESSAGES:
        expected = replace(expected, text=said.text)
    if caller is OPENAI_RESPONSES:
        # Its calls alone say that it waits for their results.
        return replace(expected, reason="calls") if expected.calls else expected
    # Whoever has no custom tools gets what they are given as the input of a function.
    calls = [
        (name, {"input": given} if isinstance(given, str) else given)
        for name, given in expected.calls
    ]
    return replace(expected, calls=calls)


@pytest.mark.skipif(not FOLDER.is_dir(), reason="no recordings")
def test_scoreboard() -> None:
    wrong: list[str] = []
    table: dict[tuple[str, str], list[int]] = {}
    for name, provider, lines, said in sources():
        for caller in DIALECTS:
            if caller is provider:
                continue  # byte for byte, which has tests of its own
            score = table.setdefault((provider.name, caller.name), [0, 0])
            score[1] += 1
            try:
                output = shown(caller, provider, wire(provider, lines), 1 << 20)
                found = neutral(READ[caller.name](output))
            except Exception as exc:  # noqa: BLE001  # every kind of failure is a point less
                wrong.append(f"{provider.name} -> {caller.name} {name}: {exc!r}")
                continue
            expected = translated(provider, caller, said)
            if found == expected:
                score[0] += 1
            else:
                wrong.append(f"{provider.name} -> {caller.name} {name}: {found} != {expected}")
    for (provider_name, caller_name), (right, of) in table.items():
        line = f"{provider_name:>20} -> {caller_name:<20} {right:3} of {of}"
        print(line)  # noqa: T201  # the scoreboard
    right, of = (sum(each) for each in zip(*table.values(), strict=True))
    print(f"{right} of {of}")  # noqa: T201
    assert right >= FLOOR * of, "\n".join(wrong)


# Whole answers...


def wholes() -> Iterator[tuple[str, Dialect, dict[str, Any], Said]]:
    for path in recordings("*.json"):
        given = json.loads(path.read_bytes())
        if "choices" in given:
            yield path.name, OPENAI_CHAT, given, said_by_whole_chat(given)
    for path in sorted((FOLDER / "anthropic").glob("*.json")):
        given = json.loads(path.read_bytes())
        said = Said(reason=given["stop_reason"])
        said.refusal = (given.get("stop_details") or {}).get("explanation") or ""
        add_blocks(said, given["content"], given["usage"])
        yield path.name, ANTHROPIC_MESSAGES, given, said
    for path in response_recordings("*.json"):
        given = json.loads(path.read_bytes())
        yield path.name, OPENAI_RESPONSES, given, said_by_response(given)


def said_by_whole_chat(given: dict[str, Any]) -> Said:
    choice = given["choices"][0]
    message = choice["message"]
    said = Said(
        text=message.get("content") or "",
        thinking=message.get("reasoning_content") or message.get("reasoning") or "",
        refusal=message.get("refusal") or "",
        reason=choice["finish_reason"],
        usage=chat_usage([json.dumps(given).encode()]),
    )
    for call in message.get("tool_calls") or []:
        said.calls.append((call["function"]["name"], arguments(call["function"]["arguments"])))
    return said


def said_in(caller: Dialect, body: bytes) -> Said:
    """Return what an answer says that is valid for the SDK, strictly."""
    if caller is OPENAI_CHAT:
        found = ChatCompletion.model_validate_json(body, strict=True)
        return said_by_whole_chat(found.to_dict())
    if caller is ANTHROPIC_MESSAGES:
        return said_in_message(Message.model_validate_json(body, strict=True))
    return said_in_response(Response.model_validate_json(body, strict=True))


@pytest.mark.skipif(not FOLDER.is_dir(), reason="no recordings")
@pytest.mark.parametrize("caller", DIALECTS, ids=lambda each: each.name)
def test_whole_answers(caller: Dialect) -> None:
    count = 0
    for name, provider, given, said in wholes():
        if provider is caller:
            continue
        count += 1
        request = asked(caller, provider, stream=False)
        answer = request.rewrite_answer(To(provider), b'"mine"', json.dumps(given).encode())
        found = neutral(said_in(caller, answer.body))
        assert found == translated(provider, caller, said), f"{provider.name} {name}"
        assert json.loads(answer.body)["model"] == "mine"
    assert count > 30
