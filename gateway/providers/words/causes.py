"""What a status means by itself, in the groups that marks look at, and how words are compiled."""

from __future__ import annotations

import re
from typing import Final

from ...core.routing.causes import Cause

LIMITED: Final = frozenset({Cause.RATE_LIMITED})
AUTH: Final = frozenset({Cause.AUTH_FAILED})
REJECTED: Final = frozenset({Cause.REJECTED})
BROKEN: Final = frozenset({Cause.SERVER_ERROR, Cause.STREAM_ERROR})
# What is wrong with a request may be said with 400, with 500 (llama.cpp), or within a 200.
OF_REQUEST: Final = REJECTED | BROKEN


def any_of(*patterns: str) -> re.Pattern[str]:
    """Return a pattern that finds any of `patterns`, in either case."""
    return re.compile("|".join(patterns), re.IGNORECASE)
