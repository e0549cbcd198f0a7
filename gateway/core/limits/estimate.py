"""How many tokens a request will need, guessed before any model has seen it.

OpenAI's own limiter guesses as well: "the maximum of max_tokens and the estimated number of
tokens based on the character count of your request"
(platform.openai.com/docs/guides/rate-limits, "Reduce the max_tokens"). Here the two are added,
as Azure and Cerebras do (inference-docs.cerebras.ai/support/rate-limits), since both will be
used. It is only a reserve: true usage takes its place when the answer is there.
"""

from __future__ import annotations

import re
from typing import Final

BYTES_PER_TOKEN: Final = 4  # of English text and of JSON, by OpenAI's rule of thumb
# Prose has up to so many with the newest tokenizers, code and JSON have fewer: a text with more
# bytes than this for each token of a context cannot be expected to fit into it.
MOST_BYTES_PER_TOKEN: Final = 5

# An image of 1024 x 1024 is 765 tokens to GPT-4o and about 1,400 to Claude; its base64 is a
# megabyte, which by length would be 250,000.
TOKENS_PER_FILE: Final = 1000

# Tokens of an answer whose request does not say how long it may become; a long answer in a chat
# has about 700 words.
ANSWER_TOKENS: Final = 1000

# It is looked for so often and no more: 30 MiB of nothing but marks would take a second. The
# OpenAI API takes 500 images in a request.
MOST_FILES: Final = 2000

# More than any answer has; JSON numbers may have a million digits.
MOST_TOKENS: Final = 2**53

# How base64 begins: in data URLs, and as Anthropic's images and documents have it.
_MARKS: Final = (b";base64,", b'"data":"', b'"data": "')
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]{64}")


def estimate_tokens(body: bytes, answer: int) -> int:
    """Return about how many tokens `body` and its answer will need together.

    `answer` is what the caller allows the answer; with 0 only the prompt counts. Base64 in data
    URLs (RFC 2397) and in members called `data` counts by the file, not by its length.
    """
    size, files = len(body), 0
    for mark in _MARKS:
        length, count = _files(body, mark)
        size -= length
        files += count
    prompt = -(-size // BYTES_PER_TOKEN) + files * TOKENS_PER_FILE
    return prompt + max(0, min(answer, MOST_TOKENS))


def _files(body: bytes, mark: bytes) -> tuple[int, int]:
    """Return how many bytes of base64 there are behind `mark`, and in how many files."""
    size, files, found = 0, 0, -1
    for _ in range(MOST_FILES):
        found = body.find(mark, found + 1)
        if found < 0:
            break
        start = found + len(mark)
        end = body.find(b'"', start)
        if end < 0:
            break
        # A short one costs what its length says: it may as well be text about data URLs.
        if end - start > TOKENS_PER_FILE * BYTES_PER_TOKEN and _BASE64.match(body, start):
            size += end - start
            files += 1
        found = end
    return size, files
