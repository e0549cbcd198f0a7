"""A stream that a provider sent instead of a whole answer, put together to one.

The answer was generated and will be billed, so it is worth more than an error. How its events
become one is the dialect's (`assembled.py` of its package).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..base import Answer, NotAnAnswer, StreamRewriter

# Putting together runs in one go, at about 15 µs an event of 300 bytes: 0.4 s.
MAX_ASSEMBLED: Final = 8 * 1024 * 1024


def assembled(
    body: bytes, rewriter: StreamRewriter, put_together: Callable[[bytes], bytes]
) -> Answer:
    """Return the answer that `put_together` makes of the events of the stream `body`.

    Raises NotAnAnswer for a stream with an error in it and for one that is not whole.
    """
    if len(body) > MAX_ASSEMBLED:
        raise NotAnAnswer("a stream instead of an answer, too long for one", final=True)
    events = rewriter.feed(body) + rewriter.end()
    if rewriter.error is not None:
        raise NotAnAnswer("a stream with an error instead of an answer", error=rewriter.error)
    if rewriter.broken is not None or not rewriter.done:
        why = rewriter.broken or "it ends in the middle"
        raise NotAnAnswer(f"a stream instead of an answer: {why}", final=True)
    try:
        answer = put_together(events)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as exc:
        # Members of other types than the API has.
        raise NotAnAnswer("a stream instead of an answer: its events differ", final=True) from exc
    return Answer(answer, rewriter.usage, rewriter.text_tokens)
