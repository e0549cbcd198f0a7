"""A whole answer, as a provider answers it when it does not stream."""

from __future__ import annotations

from ...wire.splice import InvalidJSON, members
from ...wire.sse import looks_like_events
from ..base import Answer, NotAnAnswer
from ..text_meter import answer_tokens
from .assembled import assemble
from .errors import reported_by_answer
from .usage import read_usage


def rewrite_answer(body: bytes) -> Answer:
    """Return `body`, which says nothing of its model, every byte as it was.

    A stream, told by its bytes, is put together to the answer that it gives. Raises NotAnAnswer
    for what is neither that nor a JSON object, and for errors with status 200.
    """
    try:
        fields = {each.key: body[each.value_start : each.end] for each in members(body)}
    except InvalidJSON as exc:
        if looks_like_events(body):
            return assemble(body)
        raise NotAnAnswer(f"the answer is not a JSON object: {exc}") from exc
    error = reported_by_answer(body, fields)
    if error is not None:
        raise NotAnAnswer("the answer is an error with status 200", error=error)
    message = fields.get("message", b"null")
    if not message.startswith(b"{"):
        raise NotAnAnswer("the answer has no message")
    usage = read_usage(fields["usage"]) if "usage" in fields else None
    # Counted only where it is needed: it takes longer than all the rest.
    silent = usage is None or not usage.output_tokens
    return Answer(body, usage, answer_tokens(message) if silent else 0)
