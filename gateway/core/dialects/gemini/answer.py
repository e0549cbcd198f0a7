"""A whole answer, as a provider gives it when it does not stream."""

from __future__ import annotations

from typing import Final

import msgspec

from ...wire.json_scan import NOTHING
from ...wire.splice import InvalidJSON, members, splice
from ...wire.sse import looks_like_events
from ..base import Answer, NotAnAnswer
from ..text_meter import answer_tokens
from .assembled import assemble
from .chunk import is_blocked
from .unstreamed import as_stream, reported
from .usage import read_usage

_ARRAY: Final = b"["


def rewrite_answer(body: bytes, model: bytes) -> Answer:
    """Return `body` under the requested name `model` (JSON), every other byte as it was.

    A stream, told by its bytes, is put together to the answer that it gives. Raises NotAnAnswer
    for what is neither that nor a JSON object, and for errors with status 200.
    """
    try:
        found = members(body)
    except InvalidJSON as exc:
        if looks_like_events(body):
            return assemble(body, model)
        if body.lstrip().startswith(_ARRAY):
            return assemble(as_stream(body), model)
        raise NotAnAnswer(f"the answer is not a JSON object: {exc}") from exc
    fields = {member.key: body[member.value_start : member.end] for member in found}
    error = reported(body, fields)
    if error is not None:
        raise NotAnAnswer("the answer is an error with status 200", error=error)
    candidates = fields.get("candidates", b"null")
    if candidates in NOTHING and not is_blocked(msgspec.Raw(fields.get("promptFeedback", b"null"))):
        if "usageMetadata" in fields:
            # An answer in form, which was paid for and says nothing: its provider is asked once.
            raise NotAnAnswer("the answer has no candidates", final=True)
        raise NotAnAnswer("the answer has no candidates")
    usage = read_usage(fields["usageMetadata"]) if "usageMetadata" in fields else None
    # Counted only where it is needed: it takes longer than all the rest.
    silent = usage is None or not usage.output_tokens
    tokens = answer_tokens(candidates) if silent and candidates not in NOTHING else 0
    return Answer(splice(body, replace={"modelVersion": model}, known=found), usage, tokens)
