"""What real providers sent comes out equal but for `model`; skipped where the recordings are not.

They are the AI SDK's test fixtures (vercel/ai), kept beside the repository.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.core.dialects.base import Dialect
from gateway.core.dialects.openai_chat.answer import rewrite_answer
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_chat.stream import ChatStreamRewriter
from gateway.core.dialects.openai_completions.dialect import OPENAI_COMPLETIONS
from gateway.core.dialects.openai_numbers.dialect import OPENAI_EMBEDDINGS
from gateway.core.wire.sse import SseDecoder

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


def recordings(pattern: str) -> list[Path]:
    found = [path for each in CHATS for path in sorted((FOLDER / each).glob(pattern))]
    return [*found, *sorted((FOLDER / "azure").glob(f"azure-deepseek-{pattern}"))]


def renamed(value: dict[str, Any]) -> dict[str, Any]:
    return value | {"model": "mine"} if "model" in value else value


@pytest.mark.parametrize("path", recordings("*.chunks.txt"), ids=lambda path: path.name)
@pytest.mark.parametrize("size", [1, 100, 1 << 20])
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


@pytest.mark.parametrize("path", recordings("*.json"), ids=lambda path: path.name)
def test_answers(path: Path) -> None:
    body = path.read_bytes()
    given = json.loads(body)
    if "choices" not in given:
        pytest.skip("not an answer")
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
    dialect = OPENAI_CHAT


COMPLETIONS: Final = FOLDER / "openai" / "completion"
ASKED: Final = b'{"model":"m","prompt":"x","stream":true,"stream_options":{"include_usage":true}}'


@pytest.mark.parametrize(
    "path", sorted(COMPLETIONS.glob("*.chunks.txt")), ids=lambda each: each.name
)
@pytest.mark.parametrize("size", [1, 100, 1 << 20])
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
