"""What real providers sent comes out equal but for `model`; skipped where the recordings are not.

They are the AI SDK's test fixtures (vercel/ai), kept beside the repository.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.core.dialects.base import Dialect
from gateway.core.dialects.gemini.dialect import GEMINI
from gateway.core.dialects.openai_chat.answer import rewrite_answer
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_chat.stream import ChatStreamRewriter
from gateway.core.dialects.openai_completions.dialect import OPENAI_COMPLETIONS
from gateway.core.dialects.openai_numbers.dialect import OPENAI_EMBEDDINGS
from gateway.core.dialects.openai_responses.dialect import OPENAI_RESPONSES
from gateway.core.records.counting import UsageRule
from gateway.core.wire.sse import SseDecoder

from ..rounds import rounds

FOLDER: Final = Path(__file__).parents[3] / "shared" / "recordings"
CHATS: Final = (
    "openai/chat",
    "openai-compatible/chat",
    "alibaba",
    "deepseek",
    "groq",
    "mistral",
    "moonshotai",
    "perplexity",
    "xai",
)

# Of the pieces that a stream comes in.
sizes = pytest.mark.parametrize("size", rounds([3, 1 << 20], [1, 3, 100, 1 << 20]))


def recordings(pattern: str) -> list[Path]:
    found = [path for each in CHATS for path in sorted((FOLDER / each).glob(pattern))]
    return [*found, *sorted((FOLDER / "azure").glob(f"azure-deepseek-{pattern}"))]


def answers(paths: Iterable[Path], member: str) -> list[Path]:
    """Return the recordings that have `member`; the others are of refusals."""
    return [path for path in paths if member in json.loads(path.read_bytes())]


def renamed(value: dict[str, Any]) -> dict[str, Any]:
    return value | {"model": "mine"} if "model" in value else value


@pytest.mark.parametrize("path", recordings("*.chunks.txt"), ids=lambda path: path.name)
@sizes
def test_streams(path: Path, size: int) -> None:
    lines = [line for line in path.read_bytes().split(b"\n") if line.strip()]
    stream = b"".join(b"data: %b\n\n" % line for line in lines) + b"data: [DONE]\n\n"
    rewriter = ChatStreamRewriter(b'"mine"', keep_usage=True, max_event_bytes=1 << 24)
    output = b"".join(rewriter.feed(stream[at : at + size]) for at in range(0, len(stream), size))
    shown = [event.data or b"" for event in SseDecoder().feed(output)]
    assert [json.loads(data) for data in shown] == [renamed(json.loads(line)) for line in lines]
    assert rewriter.done
    assert rewriter.finished
    assert (rewriter.error, rewriter.broken, rewriter.malformed) == (None, None, 0)
    # The same sent instead of a whole answer gives one.
    answer = rewrite_answer(stream, b'"mine"')
    assert json.loads(answer.body)["choices"][0]["finish_reason"]
    assert answer.usage == rewriter.usage


@pytest.mark.parametrize(
    "path", answers(recordings("*.json"), "choices"), ids=lambda path: path.name
)
def test_answers(path: Path) -> None:
    body = path.read_bytes()
    given = json.loads(body)
    assert json.loads(rewrite_answer(body, b'"mine"').body) == renamed(given)
    # The same sent instead of a stream gives one.
    rewriter = ChatStreamRewriter(b'"mine"', keep_usage=True, max_event_bytes=1 << 24)
    shown = [event.data or b"" for event in SseDecoder().feed(rewriter.feed_answer(body))]
    first = json.loads(shown[0])
    assert rewriter.done
    assert rewriter.meaningful
    for choice, chunk in zip(given["choices"], first["choices"], strict=True):
        message = choice["message"]
        delta = chunk["delta"]
        for number, call in enumerate(message.get("tool_calls") or []):
            assert delta["tool_calls"][number] == {"index": number} | call
        assert delta | {"tool_calls": None} == message | {"tool_calls": None}


class Recipient:
    model_json = b'"real"'
    stream_usage = True
    usage_rule: UsageRule = "usual"
    dialect = OPENAI_CHAT


COMPLETIONS: Final = FOLDER / "openai" / "completion"
ASKED: Final = b'{"model":"m","prompt":"x","stream":true,"stream_options":{"include_usage":true}}'


@pytest.mark.parametrize(
    "path", sorted(COMPLETIONS.glob("*.chunks.txt")), ids=lambda each: each.name
)
@sizes
def test_streams_of_legacy_completions(path: Path, size: int) -> None:
    lines = [line for line in path.read_bytes().split(b"\n") if line.strip()]
    stream = b"".join(b"data: %b\n\n" % line for line in lines) + b"data: [DONE]\n\n"
    rewriter = OPENAI_COMPLETIONS.read_request(ASKED).start_stream(Recipient(), b'"mine"', 1 << 24)
    output = b"".join(rewriter.feed(stream[at : at + size]) for at in range(0, len(stream), size))
    shown = [event.data or b"" for event in SseDecoder().feed(output)]
    assert [json.loads(data) for data in shown] == [renamed(json.loads(line)) for line in lines]
    assert (rewriter.done, rewriter.finished, rewriter.error) == (True, True, None)
    assert rewriter.usage is not None


WHOLE: Final = [
    *((OPENAI_COMPLETIONS, path) for path in sorted(COMPLETIONS.glob("*.json"))),
    *((OPENAI_EMBEDDINGS, path) for path in sorted((FOLDER / "openai/embedding").glob("*.json"))),
    *((OPENAI_EMBEDDINGS, path) for path in sorted((FOLDER / "voyage").glob("*.json"))),
]


@pytest.mark.parametrize(("dialect", "path"), WHOLE, ids=[path.name for _, path in WHOLE])
def test_answers_of_other_operations(dialect: Dialect, path: Path) -> None:
    body = path.read_bytes()
    asked = dialect.read_request(b'{"model":"m"}')
    answer = asked.rewrite_answer(Recipient(), b'"mine"', body)
    given = json.loads(body)
    assert json.loads(answer.body) == renamed(given)
    assert answer.body.count(b"\n") == body.count(b"\n")
    assert answer.usage is not None
    assert answer.usage.total == given["usage"]["total_tokens"]


def responses(pattern: str) -> list[Path]:
    folders = ("openai/responses", "xai/responses", "open-responses/responses", "azure")
    found = [path for each in folders for path in sorted((FOLDER / each).glob(pattern))]
    return [path for path in found if not path.name.startswith("azure-deepseek")]


def with_name(event: dict[str, Any]) -> dict[str, Any]:
    return event | {"response": renamed(event["response"])} if "response" in event else event


@pytest.mark.slow
@pytest.mark.parametrize("path", responses("*.chunks.txt"), ids=lambda path: path.name)
@sizes
def test_streams_of_responses(path: Path, size: int) -> None:
    lines = [line for line in path.read_bytes().split(b"\n") if line.strip()]
    begins = [at for at, line in enumerate(lines) if b'"type":"response.created"' in line]
    # One file has the streams of several requests.
    for start, end in pairwise([*begins, len(lines)]):
        check_responses(lines[start:end], size)


def check_responses(lines: list[bytes], size: int) -> None:
    events = [json.loads(line) for line in lines]
    stream = b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), line)
        for event, line in zip(events, lines, strict=True)
    )
    asked = OPENAI_RESPONSES.read_request(b'{"model":"m","input":"x","stream":true}')
    rewriter = asked.start_stream(Recipient(), b'"mine"', 1 << 24)
    output = b"".join(rewriter.feed(stream[at : at + size]) for at in range(0, len(stream), size))
    assert (rewriter.done, rewriter.finished, rewriter.meaningful) == (True, True, True)
    assert (rewriter.error, rewriter.broken, rewriter.malformed) == (None, None, 0)
    assert b"response.completed" not in output
    shown = [*SseDecoder().feed(output + rewriter.finish())]
    assert [event.name.decode() for event in shown] == [event["type"] for event in events]
    assert [json.loads(event.data or b"") for event in shown] == list(map(with_name, events))
    given = events[-1]["response"]["usage"]
    if given["total_tokens"]:
        assert rewriter.usage is not None
        assert rewriter.usage.total == given["total_tokens"]
        details = given["input_tokens_details"]
        assert rewriter.usage.cached_tokens == details["cached_tokens"]
        reasoning = given["output_tokens_details"]["reasoning_tokens"]
        assert rewriter.usage.reasoning_tokens == reasoning
    # The same sent instead of a whole answer gives one.
    answer = asked.rewrite_answer(Recipient(), b'"mine"', stream)
    assert json.loads(answer.body) == renamed(events[-1]["response"])
    assert answer.usage == rewriter.usage


@pytest.mark.parametrize("path", responses("*.json"), ids=lambda path: path.name)
def test_whole_responses(path: Path) -> None:
    body = path.read_bytes()
    given = json.loads(body)
    asked = OPENAI_RESPONSES.read_request(b'{"model":"m","input":"x","stream":true}')
    answer = asked.rewrite_answer(Recipient(), b'"mine"', body)
    assert json.loads(answer.body) == renamed(given)
    # The same sent instead of a stream gives one, with all of its items.
    rewriter = asked.start_stream(Recipient(), b'"mine"', 1 << 24)
    output = rewriter.feed_answer(body) + rewriter.finish()
    events = [json.loads(event.data or b"") for event in SseDecoder().feed(output)]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    done = [each["item"] for each in events if each["type"] == "response.output_item.done"]
    assert done == given["output"]
    assert events[-1]["response"] == renamed(given)
    assert rewriter.usage == answer.usage
    said = [each["delta"] for each in events if each["type"] == "response.output_text.delta"]
    parts = [part for item in given["output"] for part in item.get("content") or []]
    assert said == [part["text"] for part in parts if part.get("type") == "output_text"]


GOOGLES: Final = FOLDER / "google"


def with_version(event: dict[str, Any]) -> dict[str, Any]:
    return event | {"modelVersion": "mine"} if "modelVersion" in event else event


@pytest.mark.parametrize("path", sorted(GOOGLES.glob("*.chunks.txt")), ids=lambda path: path.name)
@sizes
def test_streams_of_gemini(path: Path, size: int) -> None:
    lines = [line for line in path.read_bytes().split(b"\n") if line.strip()]
    events = [with_version(json.loads(line)) for line in lines]
    stream = b"".join(b"data: %b\r\n\r\n" % line for line in lines)
    asked = GEMINI.read_request(b'{"model":"m","contents":[],"stream":true}')
    rewriter = asked.start_stream(Recipient(), b'"mine"', 1 << 24)
    output = b"".join(rewriter.feed(stream[at : at + size]) for at in range(0, len(stream), size))
    output += rewriter.end() + rewriter.finish()
    assert [json.loads(event.data or b"") for event in SseDecoder().feed(output)] == events
    # Byte for byte but for the name, and for the ends of lines.
    names = {b'"%b"' % json.loads(line)["modelVersion"].encode() for line in lines}
    assert len(output) == len(stream) - sum(2 + len(next(iter(names))) - 6 for _ in lines)
    assert (rewriter.done, rewriter.finished, rewriter.meaningful) == (True, True, True)
    assert (rewriter.error, rewriter.broken, rewriter.malformed) == (None, None, 0)
    given = events[-1]["usageMetadata"]
    assert rewriter.usage is not None
    assert rewriter.usage.total == given["totalTokenCount"]
    assert rewriter.usage.reasoning_tokens == given["thoughtsTokenCount"]
    # The same sent instead of a whole answer gives one.
    answer = asked.rewrite_answer(Recipient(), b'"mine"', stream)
    assert answer.usage == rewriter.usage
    assert json.loads(answer.body)["candidates"][0]["finishReason"] == "STOP"


@pytest.mark.parametrize(
    "path", answers(sorted(GOOGLES.glob("*.json")), "candidates"), ids=lambda path: path.name
)
def test_whole_answers_of_gemini(path: Path) -> None:
    body = path.read_bytes()
    given = json.loads(body)
    asked = GEMINI.read_request(b'{"model":"m","contents":[]}')
    answer = asked.rewrite_answer(Recipient(), b'"mine"', body)
    assert answer.body == body.replace(given["modelVersion"].encode(), b"mine")
    rewriter = asked.start_stream(Recipient(), b'"mine"', 1 << 24)
    [event] = SseDecoder().feed(rewriter.feed_answer(body))
    assert json.loads(event.data or b"") == with_version(given)
    assert rewriter.usage == answer.usage
