"""One event of a stream, which has the form of a whole answer: what of it is decoded."""

from __future__ import annotations

from typing import Final

import msgspec

from ...wire.json_scan import NOTHING

# Absent is UNSET, since msgspec gives the raw bytes of anything, null included.
Found = msgspec.Raw | msgspec.UnsetType
# Not a reason yet (`types.py`, FinishReason).
_NO_REASON: Final = NOTHING | {b'"FINISH_REASON_UNSPECIFIED"'}
_NO_BLOCK: Final = NOTHING | {b'"BLOCKED_REASON_UNSPECIFIED"', b'"BLOCK_REASON_UNSPECIFIED"'}


class CandidatePiece(
    msgspec.Struct, gc=False, rename={"delta": "content", "finish_reason": "finishReason"}
):
    """What an event has of one candidate; `delta` is its content, as the text meter wants it."""

    delta: Found = msgspec.UNSET
    finish_reason: Found = msgspec.UNSET
    index: int = 0

    @property
    def ends(self) -> bool:
        """Say whether it gives a reason why the candidate has ended."""
        reason = self.finish_reason
        return reason is not msgspec.UNSET and bytes(reason) not in _NO_REASON


class AnswerChunk(msgspec.Struct, gc=False, rename="camel"):
    candidates: list[CandidatePiece] | None = None
    usage_metadata: Found = msgspec.UNSET
    model_version: Found = msgspec.UNSET
    prompt_feedback: Found = msgspec.UNSET
    error: Found = msgspec.UNSET


class _Content(msgspec.Struct):
    parts: list[dict[str, msgspec.Raw]] | None = None


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: Found = msgspec.UNSET


CHUNK: Final = msgspec.json.Decoder(AnswerChunk)
CANDIDATES: Final = msgspec.json.Decoder(list[CandidatePiece])
_CONTENT: Final = msgspec.json.Decoder(_Content)
_FEEDBACK: Final = msgspec.json.Decoder(_Feedback)
# Members that say nothing where nothing else does.
_SILENT: Final = frozenset({"thought", "thoughtSignature", "partMetadata"})


def content_says(content: Found) -> bool:
    """Say whether a candidate's content has more than empty parts and signatures."""
    if not isinstance(content, msgspec.Raw):
        return False
    try:
        parts = _CONTENT.decode(content).parts
    except (msgspec.DecodeError, RecursionError):
        # Of another form, but not nothing.
        return bytes(content) not in NOTHING
    return any(
        key not in _SILENT and (key != "text" or bytes(value) not in NOTHING)
        for part in parts or ()
        for key, value in part.items()
    )


def is_blocked(feedback: Found) -> bool:
    """Say whether a prompt was blocked, so that there is no candidate (`promptFeedback`)."""
    if not isinstance(feedback, msgspec.Raw):
        return False
    try:
        reason = _FEEDBACK.decode(feedback).block_reason
    except (msgspec.DecodeError, RecursionError):
        return False
    return isinstance(reason, msgspec.Raw) and bytes(reason) not in _NO_BLOCK
