"""A whole chat completion, as a provider answers it when it does not stream."""

from __future__ import annotations

from ...wire.json_scan import NOTHING
from ...wire.splice import InvalidJSON, members, splice
from ..base import Answer, NotAnAnswer
from .usage import read_usage


def rewrite_answer(body: bytes, model: bytes) -> Answer:
    """Return `body` under the requested name `model` (JSON), every other byte as it was.

    Raises NotAnAnswer for what is no JSON object and for the errors that some servers send
    with status 200.
    """
    try:
        found = members(body)
    except InvalidJSON as exc:
        raise NotAnAnswer(f"the answer is not a JSON object: {exc}") from exc
    fields = {member.key: body[member.value_start : member.end] for member in found}
    if "choices" not in fields and fields.get("error", b"null") not in NOTHING:
        raise NotAnAnswer("the answer is an error with status 200", error=True)
    usage = read_usage(fields["usage"]) if "usage" in fields else None
    return Answer(splice(body, replace={"model": model}, known=found), usage)
