"""A whole response, as a provider answers it when it does not stream."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...limits.estimate import BYTES_PER_TOKEN
from ...wire.json_scan import NOTHING
from ...wire.splice import InvalidJSON, members, splice
from ...wire.sse import looks_like_events
from ..base import Answer, NotAnAnswer
from ..openai_chat.faults import reported, values
from ..openai_chat.usage.reports import read_usage
from ..text_meter import text_size
from .assembled import last_response
from .event import ResponseMembers, kept_ids, read_response
from .searches import searches_in

_DECODER: Final = msgspec.json.Decoder()
_UNSET: Final = msgspec.UNSET


def read_answer(body: bytes) -> ResponseMembers:
    """Return what is read of an answer. Raises NotAnAnswer for errors and what is no response."""
    try:
        fields = values(body)
    except InvalidJSON as exc:
        raise NotAnAnswer(f"the answer is not a JSON object: {exc}") from exc
    found = read_response(body)
    if found.output is _UNSET or bytes(found.output) == b"null":
        error = reported(body, fields)
        if error is not None:
            raise NotAnAnswer("the answer is an error with status 200", error=error)
        raise NotAnAnswer("the answer is no response")
    if found.error is not _UNSET and bytes(found.error) not in NOTHING:
        raise NotAnAnswer("the response has failed", error=b'{"error":%b}' % bytes(found.error))
    return found


def rewrite_response(body: bytes, model: bytes) -> Answer:
    """Return `body` under the requested name `model` (JSON), every other byte as it was.

    A stream, told by its bytes, is put together to the answer that it ends with. Raises
    NotAnAnswer.
    """
    if looks_like_events(body):
        body = last_response(body)
    found = read_answer(body)
    usage = None if found.usage is _UNSET else read_usage(found.usage)
    if usage is not None:
        usage = usage.with_searches(searches_in(found.output))
    tokens = _tokens(found.output) if usage is None or not usage.output_tokens else 0
    return Answer(
        splice(body, replace={"model": model}, known=members(body)),
        usage,
        tokens,
        kept_ids(found),
    )


def _tokens(output: Any) -> int:
    try:
        return -(-text_size(_DECODER.decode(output)) // BYTES_PER_TOKEN)
    except (msgspec.DecodeError, RecursionError):
        return len(output) // BYTES_PER_TOKEN
