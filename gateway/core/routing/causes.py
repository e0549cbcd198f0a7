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
    LOCAL_SHORTAGE = "local_shortage"
    CONNECTION_LOST = "connection_lost"
    STALE_CONNECTION = "stale_connection"
    STALE_CREDENTIAL = "stale_credential"
    PROTOCOL_VIOLATION = "protocol_violation"
    FIRST_EVENT_TIMEOUT = "first_event_timeout"
    IDLE_TIMEOUT = "idle_timeout"
    TOTAL_TIMEOUT = "total_timeout"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    AUTH_FAILED = "auth_failed"
    ACCOUNT_REFUSED = "account_refused"
    REJECTED = "rejected"
    CONTEXT_LENGTH = "context_length"
    CONTENT_POLICY = "content_policy"
    REQUEST_TOO_LARGE = "request_too_large"
    UNSUPPORTED = "unsupported"
    STREAM_ERROR = "stream_error"
    EMPTY_STREAM = "empty_stream"
    NOT_A_STREAM = "not_a_stream"
    UNREADABLE = "unreadable"
    TRUNCATED = "truncated"
    HEDGED = "hedged"
    CLIENT_GONE = "client_gone"
    ABANDONED = "abandoned"
    SHUTDOWN = "shutdown"
    CANCELLED = "cancelled_by_operator"
    INTERNAL = "internal_error"


class Again(enum.Enum):
    """Where else an attempt may go."""

    ANYWHERE = "anywhere"
    ELSEWHERE = "elsewhere"  # never this target again in this request
    NOWHERE = "nowhere"


class Rule(msgspec.Struct, frozen=True):
    """again: where another attempt may go.
    silent: the provider said nothing until a deadline, which is expensive to repeat.
    failure: says something about the provider's health; None says nothing either way.
    by_request: the request itself may have brought it about, so that a deployment is only
        doubted when others fail with it, too.
    late: a soft failure if it came after a wait that was longer than usual: it counts in the
        rate of failures, and half in a row."""

    again: Again
    silent: bool = False
    failure: bool | None = True
    by_request: bool = False
    late: bool = False


RULES: Final[dict[Cause, Rule]] = {
    # Nothing was sent: always safe to go on.
    Cause.CONNECT_FAILED: Rule(Again.ANYWHERE),
    # The same machine shows the same certificate; and it may not be the provider's at all.
    Cause.CERTIFICATE_REFUSED: Rule(Again.ELSEWHERE),
    Cause.CONNECT_TIMEOUT: Rule(Again.ANYWHERE, silent=True),
    Cause.POOL_TIMEOUT: Rule(Again.ANYWHERE, failure=None),
    # We have no descriptor, memory or port left. A target with an idle connection may still answer.
    # On a connection that was open the provider may have done the work, as below.
    Cause.LOCAL_SHORTAGE: Rule(Again.ELSEWHERE, failure=None),
    # The provider may have done the work, and a retry may be billed twice; chat completions
    # keep no state, and an answer is worth more than the double cost.
    Cause.CONNECTION_LOST: Rule(Again.ANYWHERE, by_request=True),
    # The provider closed a connection that had been idle, which it may do at any time: that is no
    # sign of trouble.
    Cause.STALE_CONNECTION: Rule(Again.ANYWHERE, failure=None),
    # The provider does not take an access token any more that should still be valid: it was
    # revoked, or its server's keys were changed. Another one is asked for.
    Cause.STALE_CREDENTIAL: Rule(Again.ELSEWHERE, failure=None),
    Cause.PROTOCOL_VIOLATION: Rule(Again.ANYWHERE, by_request=True),
    Cause.FIRST_EVENT_TIMEOUT: Rule(Again.ANYWHERE, silent=True),
    Cause.IDLE_TIMEOUT: Rule(Again.ANYWHERE, silent=True),
    # The caller may have given very little: its haste alone says nothing of the provider.
    Cause.TOTAL_TIMEOUT: Rule(Again.NOWHERE, silent=True, failure=None, by_request=True, late=True),
    # A full bucket is not a sick provider.
    Cause.RATE_LIMITED: Rule(Again.ANYWHERE, failure=None),
    # llama.cpp answers 500 to an image that its model cannot see.
    Cause.SERVER_ERROR: Rule(Again.ANYWHERE, by_request=True),
    # The key is bad or unpaid: the same key gets the same answer. The first by its status, which
    # a request may have brought about if it is 402 or 403, the second by the provider's words.
    Cause.AUTH_FAILED: Rule(Again.ELSEWHERE, failure=None),
    Cause.ACCOUNT_REFUSED: Rule(Again.ELSEWHERE, failure=None),
    # The request is at fault: every provider would say so.
    Cause.REJECTED: Rule(Again.NOWHERE, failure=False),
    # Other models may take what this one refuses; the model's `fallback_on` says whether to ask.
    Cause.CONTEXT_LENGTH: Rule(Again.NOWHERE, failure=False),
    Cause.CONTENT_POLICY: Rule(Again.NOWHERE, failure=False),
    # This deployment will never take it, with any key and after any wait: more tokens than its
    # whole limit of a minute, an image for a model that reads text. Another one may have larger
    # limits or another model behind it, and a refusal costs neither time nor money.
    Cause.REQUEST_TOO_LARGE: Rule(Again.ELSEWHERE, failure=False),
    Cause.UNSUPPORTED: Rule(Again.ELSEWHERE, failure=False),
    Cause.STREAM_ERROR: Rule(Again.ANYWHERE, by_request=True),
    Cause.EMPTY_STREAM: Rule(Again.ANYWHERE, by_request=True),
    # It cannot stream, or stands behind something that cannot: it will not learn it now.
    Cause.NOT_A_STREAM: Rule(Again.ELSEWHERE, by_request=True),
    # An answer was generated, in a form that the gateway does not read: the next would have it too.
    Cause.UNREADABLE: Rule(Again.ELSEWHERE, by_request=True),
    # After commit, or by our own hand: no other attempt.
    Cause.TRUNCATED: Rule(Again.NOWHERE, by_request=True),
    # Cut because another attempt was faster: it may have been about to answer.
    Cause.HEDGED: Rule(Again.NOWHERE, failure=None),
    Cause.CLIENT_GONE: Rule(Again.NOWHERE, failure=None),
    # The caller left, too, but only after it had waited longer than usual for a first event.
    Cause.ABANDONED: Rule(Again.NOWHERE, failure=None, by_request=True, late=True),
    Cause.SHUTDOWN: Rule(Again.NOWHERE, failure=None),
    Cause.CANCELLED: Rule(Again.NOWHERE, failure=None),
    Cause.INTERNAL: Rule(Again.NOWHERE, failure=None),
}


class Try(msgspec.Struct, frozen=True):
    """Start an attempt on target number `target` after `wait` seconds."""

    target: int
    wait: float = 0.0


class Stop(enum.Enum):
    """There is no further attempt."""

    REJECTED = "rejected"  # the provider's answer stands
    EXHAUSTED = "exhausted"  # attempts or targets are spent
    OUT_OF_TIME = "out_of_time"  # the deadline leaves no room


class AttemptFailure(msgspec.Struct, frozen=True):
    """How the attempt on `target` ended.

    `retry_after` is what the provider asked for. `another_key` says that only the key was at
    fault, and that the target has one more; `probe` that a breaker had let it through as one.
    """

    target: int
    cause: Cause
    retry_after: float | None = None
    another_key: bool = False
    probe: bool = False


class SkipReason(enum.Enum):
    """What kept an attempt from being sent."""

    CIRCUIT_OPEN = "circuit_open"
    RATE_LIMITED = "rate_limited"  # the provider said so to all keys
    KEYS_REFUSED = "keys_refused"
    BUSY = "busy"  # all places of the provider are taken
    OVER_LIMIT = "over_limit"  # the configuration's limits for the provider
    RETRY_BUDGET = "retry_budget"
    DRAINED = "drained"  # an operator has taken it out
    CANNOT_SERVE = "cannot_serve"  # its model was found unable to serve this request
    # It is declared unable to (`capabilities/`).
    NO_IMAGES = "no_images"
    NO_DOCUMENTS = "no_documents"
    NO_AUDIO = "no_audio"
    NO_TOOLS = "no_tools"
    NO_PARALLEL_TOOLS = "no_parallel_tools"
    NO_STRUCTURED_OUTPUT = "no_structured_output"
    NO_THINKING = "no_thinking"
    NO_STREAMING = "no_streaming"
    CONTEXT_TOO_SMALL = "context_too_small"
    ANSWER_TOO_LONG = "answer_too_long"
    # Its provider takes no body of that many bytes.
    BODY_TOO_LARGE = "body_too_large"


# The request is the reason, so that waiting changes nothing.
UNABLE: Final = frozenset(
    each
    for each in SkipReason
    if each.value.startswith("no_")
    or each
    in (
        *(SkipReason.CANNOT_SERVE, SkipReason.CONTEXT_TOO_SMALL, SkipReason.ANSWER_TOO_LONG),
        SkipReason.BODY_TOO_LARGE,
    )
)


class Skipped(msgspec.Struct, frozen=True):
    """An attempt that was not let through; `until` is when it might be, if that is known."""

    why: SkipReason
    until: float | None = None
