"""An answer in canonical form: a stream of events.

    Started
    ( BlockStarted  Grown*  Cited*  BlockStopped   blocks of one index, several may be open
    | Searched )*                                  between blocks
    Stopped                                        why, once; usage follows apart, as `Usage`

Errors are no events: the provider's rewriter has them (`StreamRewriter.error`).
"""

from __future__ import annotations

import enum
from typing import Literal

import msgspec

from .logprobs import TokenLogprob
from .sources import Citation, FoundPage


class Started(msgspec.Struct, gc=False):
    """The answer has begun; `id` is the provider's."""

    id: str


BlockKind = Literal["text", "thinking", "call", "refusal"]


class BlockStarted(msgspec.Struct, gc=False):
    """`encrypted` is of thinking without text; the other members are of calls."""

    index: int
    kind: BlockKind
    call_id: str = ""
    name: str = ""
    custom: bool = False
    encrypted: bool = False
    namespace: str = ""


class Grown(msgspec.Struct, gc=False):
    """A piece of a block's text or of a call's arguments; with `signature`, of its signature.

    `logprobs` are those of its tokens, for a caller that asked for them.
    """

    index: int
    text: str
    signature: bool = False
    logprobs: list[TokenLogprob] | None = None


class Cited(msgspec.Struct, gc=False):
    """What the text of an open block is from; without a place in it, all of the block's text."""

    index: int
    citation: Citation


class Searched(msgspec.Struct, gc=False):
    """The provider has searched the web: for `queries`, and found `pages`, as far as it tells.

    `failure` is why it found nothing, in Anthropic's words (`WebSearchToolResultErrorCode`).
    """

    id: str
    queries: list[str]
    pages: list[FoundPage] = []
    failure: str | None = None


class BlockStopped(msgspec.Struct, gc=False):
    index: int


class StopReason(enum.Enum):
    END = "end"
    LENGTH = "length"
    CONTEXT = "context"  # the model's window is full
    SEQUENCE = "sequence"
    CALLS = "calls"
    PAUSE = "pause"  # the provider wants to be asked to go on
    REFUSAL = "refusal"


class Stopped(msgspec.Struct, gc=False):
    """`sequence` is the stop sequence that was met, `words` what a refusal says."""

    reason: StopReason
    sequence: str | None = None
    words: str | None = None


Event = Started | BlockStarted | Grown | BlockStopped | Cited | Searched | Stopped
