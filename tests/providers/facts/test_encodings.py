from __future__ import annotations

import pytest

from gateway.core.limits.prompt_text import Encoding, PromptText
from gateway.providers.facts.encodings import MARGIN, encoding_of

OLD, NEW = Encoding("cl100k_base"), Encoding("o200k_base")


# OpenAI's by github.com/openai/tiktoken, tiktoken/model.py.
@pytest.mark.parametrize(
    ("encoding", "models"),
    [
        (
            OLD,
            "gpt-4 gpt-4-turbo gpt-4-0613 gpt-4-32k gpt-4-1106-preview gpt-4-vision-preview"
            " gpt-3.5-turbo gpt-35-turbo openai/gpt-4 text-embedding-3-small"
            " text-embedding-ada-002",
        ),
        (
            NEW,
            "gpt-4o gpt-4o-mini GPT-4o gpt-4.1 gpt-4.5-preview gpt-5 gpt-5.2-codex gpt-6 o1"
            " o1-mini o3 o4-mini chatgpt-4o-latest openai/gpt-5 gpt-oss-120b openai.gpt-oss-20b-1:0"
            " codex-mini-latest ft:gpt-4o:acme::1 azure/gpt-4o gpt-realtime",
        ),
        (
            Encoding("o200k_base", MARGIN),
            "claude-3-opus-20240229 claude-opus-4-1 claude-opus-4-6 claude-sonnet-4-20250514"
            " claude-sonnet-4.5 us.anthropic.claude-haiku-4-5-20251001-v1:0 gemini-2.5-pro"
            " llama-3.3-70b mistral-large command-a qwen3-32b deepseek-chat my-own",
        ),
        (
            Encoding("o200k_base", 56),
            "claude-opus-4-7 claude-opus-4.8 anthropic/claude-opus-4.7 claude-sonnet-5"
            " claude-opus-5-1 claude-fable-5 us.anthropic.claude-opus-4-7-v1:0",
        ),
    ],
)
def test_whose_tokenizer_counts_for_a_model(encoding: Encoding, models: str) -> None:
    assert {name: encoding_of(name) for name in models.split()} == dict.fromkeys(
        models.split(), encoding
    )


def test_a_count_is_raised_where_the_tokenizer_is_another_one() -> None:
    prompt = PromptText(["a"], turns=2, files=1)
    assert prompt.tokens(100, NEW) == 100 + 8 + 3 + 1000
    assert prompt.tokens(100, Encoding("x", 20)) == 134 + 1000
    assert PromptText([], 0).tokens(0, NEW) == 3
