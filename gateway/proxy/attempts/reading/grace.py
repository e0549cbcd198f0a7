"""How long an answer that is whole is waited for to be ended by its provider.

Once every choice has its finish_reason the caller has all there is, and some providers then say
no more and keep the connection open, or send nothing but pings.
"""

from __future__ import annotations

import math
from typing import Final

import trio

from ....core.dialects.base import StreamRewriter
from ....stops import stops

# Once the stream is `done` the provider owes only the end of the body. Waiting for it keeps the
# connection; the caller has its answer already.
END_GRACE: Final = 0.25
# `[DONE]` follows the last finish_reason in the same packet where it comes at all; the rest is for
# chunks that say something beside it.
DONE_GRACE: Final = 1.0
# Usage that was asked for is counted after the last token, and without it the cost is an
# estimate. Providers send it within some hundred milliseconds.
USAGE_GRACE: Final = 5.0
# The answer is whole: it ends as such just before the request's deadline, not broken by it.
LAST_MOMENT: Final = 0.1


class EndGrace:
    """When a `finished` stream is over, though nothing says so.

    In Trio's seconds, less those in which the process was stopped (`stops.py`).
    """

    __slots__ = ("_over_at", "_rewriter", "_said")

    def __init__(self, rewriter: StreamRewriter) -> None:
        self._rewriter = rewriter
        self._over_at = math.inf
        self._said = -1

    def __repr__(self) -> str:
        return f"<EndGrace until {self._over_at:.3f}>"

    def over_at(self) -> float:
        """Return it, after what the stream has said by now."""
        rewriter = self._rewriter
        if rewriter.said != self._said:
            # Not for comments and pings: some providers send them for ever.
            self._said = rewriter.said
            now = trio.current_time()
            grace = USAGE_GRACE if rewriter.awaits_usage else DONE_GRACE
            latest = max(now, trio.current_effective_deadline() - LAST_MOMENT)
            self._over_at = min(now + grace, latest) - stops().total
        return self._over_at
