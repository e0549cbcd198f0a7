"""Why an attempt failed, and what follows from that: one table.

The rows are the phases of failure of an HTTP exchange; a test holds the table total.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec


class Cause(enum.Enum):
    CONNECT_FAILED = "connect_failed"
    CERTIFICATE_REFUSED = "certificate_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    POOL_TIMEOUT = "pool_timeout"
    CONNECTION_LOST = "connection_lost"
    PROTOCOL_VIOLATION = "protocol_violation"
    FIRST_EVENT_TIMEOUT = "first_event_timeout"
    IDLE_TIMEOUT = "idle_timeout"
    TOTAL_TIMEOUT = "total_timeout"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    AUTH_FAILED = "auth_failed"
    REJECTED = "rejected"
    CONTEXT_LENGTH = "context_length"
    CONTENT_POLICY = "content_policy"
    STREAM_ERROR = "stream_error"
    EMPTY_STREAM = "empty_stream"
    NOT_A_STREAM = "not_a_stream"
    TRUNCATED = "truncated"
    HEDGED = "hedged"
    CLIENT_GONE = "client_gone"
    SHUTDOWN = "shutdown"
    INTERNAL = "internal_error"


class Again(enum.Enum):
    """Where else an attempt may go."""

    ANYWHERE = "anywhere"
    ELSEWHERE = "elsewhere"  # never this target again in this request
    NOWHERE = "nowhere"


class Rule(msgspec.Struct, frozen=True):
    """again: where another attempt may go.
    silent: the provider said nothing until a deadline, which is expensive to repeat.
    failure: says something about the provider's health; None says nothing either way."""

    again: Again
    silent: bool = False
    failure: bool | None = True


RULES: Final[dict[Cause, Rule]] = {
    # Nothing was sent: always safe to go on.
    Cause.CONNECT_FAILED: Rule(Again.ANYWHERE),
    # The same machine shows the same certificate; and it may not be the provider's at all.
    Cause.CERTIFICATE_REFUSED: Rule(Again.ELSEWHERE),
    Cause.CONNECT_TIMEOUT: Rule(Again.ANYWHERE, silent=True),
    Cause.POOL_TIMEOUT: Rule(Again.ANYWHERE, failure=None),
    # The provider may have done the work, and a retry may be billed twice; chat completions
    # keep no state, and an answer is worth more than the double cost.
    Cause.CONNECTION_LOST: Rule(Again.ANYWHERE),
    Cause.PROTOCOL_VIOLATION: Rule(Again.ANYWHERE),
    Cause.FIRST_EVENT_TIMEOUT: Rule(Again.ANYWHERE, silent=True),
    Cause.IDLE_TIMEOUT: Rule(Again.ANYWHERE, silent=True),
    # The caller may have given very little: its haste says nothing of the provider.
    Cause.TOTAL_TIMEOUT: Rule(Again.NOWHERE, silent=True, failure=None),
    # A full bucket is not a sick provider.
    Cause.RATE_LIMITED: Rule(Again.ANYWHERE, failure=None),
    Cause.SERVER_ERROR: Rule(Again.ANYWHERE),
    # The key is bad or unpaid: the same key gets the same answer.
    Cause.AUTH_FAILED: Rule(Again.ELSEWHERE, failure=None),
    # The request is at fault: every provider would say so.
    Cause.REJECTED: Rule(Again.NOWHERE, failure=False),
    # Other models may take what this one refuses; the model's `fallback_on` says whether to ask.
    Cause.CONTEXT_LENGTH: Rule(Again.NOWHERE, failure=False),
    Cause.CONTENT_POLICY: Rule(Again.NOWHERE, failure=False),
    Cause.STREAM_ERROR: Rule(Again.ANYWHERE),
    Cause.EMPTY_STREAM: Rule(Again.ANYWHERE),
    # It cannot stream, or stands behind something that cannot: it will not learn it now.
    Cause.NOT_A_STREAM: Rule(Again.ELSEWHERE),
    # After commit, or by our own hand: no other attempt.
    Cause.TRUNCATED: Rule(Again.NOWHERE),
    # Cut because another attempt was faster: it may have been about to answer.
    Cause.HEDGED: Rule(Again.NOWHERE, failure=None),
    Cause.CLIENT_GONE: Rule(Again.NOWHERE, failure=None),
    Cause.SHUTDOWN: Rule(Again.NOWHERE, failure=None),
    Cause.INTERNAL: Rule(Again.NOWHERE, failure=None),
}
