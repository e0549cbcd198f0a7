"""How each kind of provider says no: its statuses, its codes and words, and what they mean.

The words are in `words/`, by meaning; `core/routing/refusals.py` says how a table is read. The kind
`openai` is any server that speaks OpenAI's API, so its table has the words of all of them, and of
what they relay.
"""

from __future__ import annotations

from typing import Final

from ..core.routing.causes import Cause
from ..core.routing.refusals import RefusalTable
from .refusal_body import read_refusal
from .words.account import ACCOUNT, CONFIDENTIAL, QUOTA
from .words.content import CONTENT_POLICY
from .words.google import read_google_refusal
from .words.length import CONTEXT_LENGTH
from .words.limits import REQUEST_TOO_LARGE, THROTTLED
from .words.unsupported import NOT_KEPT_HERE, UNSUPPORTED

# Beside the classes: 4xx is a refusal of the request, 5xx a failure of the provider.
STATUSES: Final = {
    401: Cause.AUTH_FAILED,
    402: Cause.AUTH_FAILED,  # DeepSeek, OpenRouter: our balance there is spent
    403: Cause.AUTH_FAILED,
    407: Cause.PROTOCOL_VIOLATION,
    408: Cause.SERVER_ERROR,
    # TGI's for an error of the model (router/src/server.rs), Azure's for one of its container
    # (learn.microsoft.com: troubleshoot online endpoints).
    424: Cause.SERVER_ERROR,
    425: Cause.SERVER_ERROR,  # RFC 8470: not yet, try again
    429: Cause.RATE_LIMITED,
    498: Cause.RATE_LIMITED,  # Groq: no capacity for its flex tier (console.groq.com/docs/errors)
}

# The first that is found counts. The account comes before what is about the request: its words
# are read only where a caller's never stand.
OPENAI_COMPATIBLE: Final = RefusalTable(
    STATUSES,
    (
        *THROTTLED,
        QUOTA,
        *ACCOUNT,
        *REQUEST_TOO_LARGE,
        CONTEXT_LENGTH,
        *CONTENT_POLICY,
        NOT_KEPT_HERE,
        UNSUPPORTED,
    ),
    read_refusal,
    CONFIDENTIAL.search,
)

# Google's status words are codes like others (`RESOURCE_EXHAUSTED`, `API_KEY_INVALID`); which quota
# is used up, only its details say.
GEMINI: Final = RefusalTable(
    STATUSES, OPENAI_COMPATIBLE.marks, read_google_refusal, CONFIDENTIAL.search
)

# The words of all providers, here as well: DeepSeek, Moonshot, Zhipu and MiniMax speak both APIs
# and have one set of refusals. 529, `overloaded_error`, is a failure like any other 5xx
# (docs.anthropic.com/en/api/errors).
ANTHROPIC: Final = OPENAI_COMPATIBLE

# Amazon's types are codes like others (`ThrottlingException`), and its words stand among those of
# all. A model that is not ready yet is asked again, as with a limit.
BEDROCK: Final = OPENAI_COMPATIBLE
