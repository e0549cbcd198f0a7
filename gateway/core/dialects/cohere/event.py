"""One event of a stream: what of it is decoded (`v2/types/v2chat_stream_response.py`)."""

from __future__ import annotations

from typing import Final

import msgspec

# Absent is UNSET: a union of Raw and None takes nothing but null.
Found = msgspec.Raw | msgspec.UnsetType


class CohereEvent(msgspec.Struct, gc=False):
    """The members of an event by which the rewriter goes; `message` is that of an error."""

    type: str = ""
    delta: Found = msgspec.UNSET
    message: Found = msgspec.UNSET


class EndDelta(msgspec.Struct):
    """What the last event says."""

    finish_reason: str | None = None
    error: str | None = None
    usage: Found = msgspec.UNSET


EVENT: Final = msgspec.json.Decoder(CohereEvent)
END: Final = msgspec.json.Decoder(EndDelta)
# What the model has said. That a block has begun, or that it has ended, says nothing.
CONTENT: Final = frozenset({"content-delta", "tool-plan-delta", "tool-call-start"})
GROWING: Final = CONTENT | {"tool-call-delta"}
LAST: Final = "message-end"
# `types/chat_finish_reason.py`: reasons that are none of the model's.
FAILED: Final = frozenset({"ERROR", "TIMEOUT"})
