"""A whole message, as a provider answers it when it does not stream."""

from __future__ import annotations

from ...wire.splice import InvalidJSON, members, splice
from ...wire.sse import looks_like_events
from ..base import Answer, NotAnAnswer
from ..text_meter import answer_tokens
from .assembled import assemble
from .faults import reported_by_answer
from .usage import read_usage


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
        raise NotAnAnswer(f"the answer is not a JSON object: {exc}") from exc
    fields = {member.key: body[member.value_start : member.end] for member in found}
    error = reported_by_answer(body, fields)
    if error is not None:
        raise NotAnAnswer("the answer is an error with status 200", error=error)
    content = fields.get("content", b"null")
    if content == b"null":
        # Every SDK would fail at the first look at it. An empty list is a refusal, say.
        raise NotAnAnswer("the answer has no content")
    usage = read_usage(fields["usage"]) if "usage" in fields else None
    # Counted only where it is needed: it takes longer than all the rest.
    silent = usage is None or not usage.output_tokens
    tokens = answer_tokens(content) if silent else 0
    return Answer(splice(body, replace={"model": model}, known=found), usage, tokens)
