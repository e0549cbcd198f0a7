"""A legacy completion request: how many texts it asks for, and how long they may become.

prompt   one, or several at once; each may be a text or the numbers of its tokens
n        how many texts of each prompt are answered
best_of  how many are generated and paid for; the best `n` of them are answered
echo     each text begins with its prompt, which was not generated
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import Final

import msgspec

from ...limits.estimate import BYTES_PER_TOKEN, MOST_TOKENS
from ..base import Answer, Recipient, StreamRewriter
from ..bodies.request_body import flag_of
from ..bodies.token_limits import read_token_limits
from ..needs import Needs
from ..openai_chat.answer import rewrite_answer
from ..openai_chat.request import ChatRequest, parse_chat
from .stream import TEXT, TextStreamRewriter

# What OpenAI and vLLM generate if a request does not say
# (platform.openai.com/docs/api-reference/completions/create).
DEFAULT_TOKENS: Final = b"16"
# OpenAI takes 2048 in one request (its error for more says so).
MOST_PROMPTS: Final = 4096
# A prompt among several, by how the first one begins; without a way back, which would take memory.
_EACH: Final = {
    b'"': re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL),
    b"[": re.compile(rb"\[[^\]]*+\]"),
}
# What is read of it as of a chat.
_AS_ASKED: Final = frozenset(ChatRequest.__struct_fields__) - {"answers", "answer_tokens"}


class TextRequest(ChatRequest, frozen=True, kw_only=True):
    """`choices` is how many texts are answered, `answers` how many are generated.

    `echoed` is about how many tokens of them are repeated from the prompt.
    """

    choices: int = 1
    echoed: int = 0

    def needs(self, *, prompt: bool = True) -> Needs:
        found = super().needs(prompt=prompt)
        # Several prompts are as many contexts.
        return found if self.choices == 1 else msgspec.structs.replace(found, prompt=0)

    def start_stream(
        self, recipient: Recipient, name: bytes, max_event_bytes: int
    ) -> StreamRewriter:
        return TextStreamRewriter(
            name,
            keep_usage=self.wants_usage,
            max_event_bytes=max_event_bytes,
            asked_usage=self.wants_usage or (self.stream and recipient.stream_usage),
            choices=self.choices,
            echoed=self.echoed,
        )

    def rewrite_answer(self, recipient: Recipient, name: bytes, body: bytes) -> Answer:
        answer = rewrite_answer(body, name, self.choices, TEXT)
        tokens = max(0, answer.text_tokens - self.echoed)
        return msgspec.structs.replace(answer, text_tokens=tokens)


def parse_text(body: bytes) -> TextRequest:
    """Read a request body. Raises InvalidRequest (400) with what is wrong and where."""
    asked = parse_chat(body)
    values = {
        each.key: body[each.value_start : each.end]
        for each in asked.members
        if body[each.value_start : each.end] != b"null"
    }
    prompt = values.get("prompt", b'""')
    count = _count(prompt)
    limits = read_token_limits({"max_tokens": DEFAULT_TOKENS, **values})
    answered = read_token_limits({"n": values.get("n", b"1")}).n * count
    generated = limits.n * count
    return TextRequest(
        **{name: getattr(asked, name) for name in _AS_ASKED},
        answer_tokens=(limits.max_tokens or 0) * generated,
        answers=generated,
        choices=answered,
        echoed=_echoed(values, prompt) * (answered // count),
    )


def _count(prompt: bytes) -> int:
    """Return how many prompts there are in `prompt`, which is JSON; one at least."""
    inside = prompt[1:].lstrip()[:1] if prompt.startswith(b"[") else b""
    pattern = _EACH.get(inside)
    if pattern is None:
        return 1
    return max(1, sum(1 for _ in islice(pattern.finditer(prompt, 1), MOST_PROMPTS)))


def _echoed(values: Mapping[str, bytes], prompt: bytes) -> int:
    """Return about how many tokens the prompts have, if they are repeated; else 0."""
    if not flag_of(values.get("echo"), "echo"):
        return 0
    if values.get("max_tokens") == b"0":
        # Nothing is generated: the caller wants the probabilities of its own text.
        return MOST_TOKENS
    if b'"' in prompt:
        return -(-max(0, len(prompt) - 2) // BYTES_PER_TOKEN)
    return prompt.count(b",") + 1 if prompt.startswith(b"[") else 0
