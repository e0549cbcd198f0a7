"""The scoreboard: every recorded stream in each of seven dialects, and how many say it all.

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

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import Dialect, DialectRequest, StreamRewriter
from gateway.core.dialects.bedrock_converse.dialect import BEDROCK_CONVERSE
from gateway.core.dialects.cohere.dialect import COHERE_CHAT
from gateway.core.dialects.gemini.dialect import GEMINI
from gateway.core.dialects.ollama.dialect import OLLAMA_CHAT
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_responses.dialect import OPENAI_RESPONSES
from gateway.core.dialects.translators import translate
from tests.late import anthropic, openai

from ..core.dialects.bedrock_converse.frames import stream_of as frames_of
from ..core.dialects.canonical.recipient import To
from .said import (
    Said,
    accumulated,
    add_blocks,
    arguments,
    last_response,
    said_by_chat,
    said_by_gemini,
    said_by_messages,
    said_by_response,
    said_by_responses,
    said_in_chat,
    said_in_gemini,
    said_in_message,
    said_in_response,
)
from .said_elsewhere import (
    said_by_cohere,
    said_by_converse,
    said_by_whole_cohere,
    said_by_whole_converse,
    said_in_cohere,
    said_in_converse,
    said_in_ollama,
)
from .test_messages import lines_of, messages_of, stream_of
from .test_recordings import FOLDER, recordings

DIALECTS: Final = (
    *(OPENAI_CHAT, ANTHROPIC_MESSAGES, OPENAI_RESPONSES, GEMINI),
    *(BEDROCK_CONVERSE, COHERE_CHAT, OLLAMA_CHAT),
)
# One word for what each dialect calls it.
REASONS: Final = {
    **dict.fromkeys(("stop", "end_turn", "stop_sequence", "pause_turn", "completed"), "end"),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "MAX_TOKENS"), "length"),
    **dict.fromkeys(("tool_calls", "tool_use", "calls"), "calls"),
    **dict.fromkeys(("content_filter", "refusal", "SAFETY"), "refusal"),
    **dict.fromkeys(("STOP", "COMPLETE", "STOP_SEQUENCE"), "end"),
    **dict.fromkeys(("MAX_TOKENS",), "length"),
    **dict.fromkeys(("TOOL_CALL",), "calls"),
    **dict.fromkeys(("ERROR_TOXIC", "content_filtered"), "refusal"),
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
    for path in sorted((FOLDER / "google").glob("*.chunks.txt")):
        lines = lines_of(path)
        yield path.name, GEMINI, lines, said_by_gemini(lines)
    for path in sorted((FOLDER / "amazon-bedrock").glob("*.chunks.txt")):
        lines = lines_of(path)
        yield path.name, BEDROCK_CONVERSE, lines, said_by_converse([*map(json.loads, lines)])
    for path in sorted((FOLDER / "cohere").glob("*.chunks.txt")):
        lines = lines_of(path)
        yield path.name, COHERE_CHAT, lines, said_by_cohere(lines)


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
    if dialect is GEMINI:
        return b"".join(b"data: %b\r\n\r\n" % line for line in lines)
    if dialect is BEDROCK_CONVERSE:
        return frames_of(*map(json.loads, lines))
    if dialect is OPENAI_CHAT:
        return b"".join(b"data: %b\n\n" % line for line in lines) + b"data: [DONE]\n\n"
    return stream_of(lines)


def asked(caller: Dialect, provider: Dialect, *, stream: bool) -> DialectRequest:
    body: dict[str, Any] = {"model": "m", "stream": stream}
    if caller is GEMINI:
        body["contents"] = [{"parts": [{"text": "Hi"}]}]
    elif caller is OPENAI_RESPONSES:
        body["input"] = "Hi"
    elif caller is BEDROCK_CONVERSE:
        body["modelId"] = body.pop("model")
        body["messages"] = [{"role": "user", "content": [{"text": "Hi"}]}]
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
    # Some recordings of Bedrock end before the event with the usage.
    assert rewriter.finished
    return output + rewriter.finish()


READ: Final[dict[str, Callable[[bytes], Said]]] = {
    OPENAI_CHAT.name: said_in_chat,
    ANTHROPIC_MESSAGES.name: lambda output: said_in_message(accumulated(output)),
    OPENAI_RESPONSES.name: lambda output: said_in_response(last_response(output)),
    GEMINI.name: said_in_gemini,
    BEDROCK_CONVERSE.name: said_in_converse,
    COHERE_CHAT.name: said_in_cohere,
    OLLAMA_CHAT.name: said_in_ollama,
}


def neutral(said: Said) -> Said:
    # A refusal has no words of its own in Messages: its text says it.
    return replace(said, reason=REASONS[said.reason], text=said.text + said.refusal, refusal="")


def translated(provider: Dialect, caller: Dialect, said: Said) -> Said:
    """Return what a caller should get of `said`, where its dialect knows one thing less."""
    expected = neutral(said)
    if caller is ANTHROPIC_MESSAGES and provider is ANTHROPIC_MESSAGES:
        expected = replace(expected, text=said.text)
    if caller is OLLAMA_CHAT:
        # It has no word for calls, nor for what comes from a cache.
        expected = replace(expected, usage=(*expected.usage[:2], 0))
        expected = replace(expected, reason="end") if expected.reason == "calls" else expected
    if caller in (OPENAI_RESPONSES, GEMINI):
        # Their calls alone say that they wait for results.
        expected = replace(expected, reason="calls") if expected.calls else expected
    if caller is OPENAI_RESPONSES:
        return expected
    # Whoever has no custom tools gets what they are given as the input of a function.
    calls = [
        (name, {"input": given} if isinstance(given, str) else given)
        for name, given in expected.calls
    ]
    return replace(expected, calls=calls)


@pytest.mark.slow
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
    for path in sorted((FOLDER / "google").glob("*.json")):
        given = json.loads(path.read_bytes())
        if "candidates" in given:
            yield path.name, GEMINI, given, said_by_gemini([json.dumps(given).encode()])
    for path in sorted((FOLDER / "amazon-bedrock").glob("*.json")):
        given = json.loads(path.read_bytes())
        yield path.name, BEDROCK_CONVERSE, given, said_by_whole_converse(given)
    for path in sorted((FOLDER / "cohere").glob("*.json")):
        given = json.loads(path.read_bytes())
        if "message" in given:
            yield path.name, COHERE_CHAT, given, said_by_whole_cohere(given)


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
        found = openai.types.chat.ChatCompletion.model_validate_json(body, strict=True)
        return said_by_whole_chat(found.to_dict())
    if caller is ANTHROPIC_MESSAGES:
        return said_in_message(anthropic.types.Message.model_validate_json(body, strict=True))
    if caller is GEMINI:
        return said_in_gemini(b"data: %b\n\n" % body)
    if caller is BEDROCK_CONVERSE:
        return said_by_whole_converse(json.loads(body))
    if caller is COHERE_CHAT:
        return said_by_whole_cohere(json.loads(body))
    if caller is OLLAMA_CHAT:
        return said_in_ollama(body)
    return said_in_response(openai.types.responses.Response.model_validate_json(body, strict=True))


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
        if caller not in (BEDROCK_CONVERSE, COHERE_CHAT):
            # Which do not say who answers.
            named = "modelVersion" if caller is GEMINI else "model"
            assert json.loads(answer.body)[named] == "mine"
    assert count > 30
