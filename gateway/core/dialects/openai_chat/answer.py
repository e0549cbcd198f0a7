"""A whole chat completion, as a provider answers it when it does not stream."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ...records.counting import UsageRule
from ...records.usage import Usage
from ...wire.splice import InvalidJSON, members, splice
from ...wire.sse import looks_like_events
from ..base import Answer, NotAnAnswer
from ..text_meter import answer_tokens
from .assembled import assemble
from .chunk import CHAT, Shape
from .faults import choices_of, reported_by_answer, unwrapped
from .usage.reports import UsageReports

# A list, of objects as far as its first item tells.
_CHOICES: Final = re.compile(rb"\[[ \t\n\r]*[{\]]")


def rewrite_answer(
    body: bytes,
    model: bytes,
    choices: int = 1,
    shape: Shape = CHAT,
    usage_rule: UsageRule = "usual",
) -> Answer:
    """Return `body` under the requested name `model` (JSON), every other byte as it was.

    A stream, told by its bytes, is put together to the answer that it gives; `choices` are
    those that were asked for. Raises NotAnAnswer for what is neither that nor a JSON object, and
    for the errors that some servers send with status 200.
    """
    try:
        found = members(body)
    except InvalidJSON as exc:
        if looks_like_events(body):
            return assemble(body, model, choices, shape, usage_rule)
        if (inner := unwrapped(body)) is not None:
            return rewrite_answer(inner, model, choices, shape, usage_rule)
        raise NotAnAnswer(f"the answer is not a JSON object: {exc}") from exc
    fields = {member.key: body[member.value_start : member.end] for member in found}
    error = reported_by_answer(body, fields)
    if error is not None:
        raise NotAnAnswer("the answer is an error with status 200", error=error)
    if _CHOICES.match(fields.get("choices", b"")) is None:
        # `{}` for one: every SDK would fail at the first look at it.
        raise NotAnAnswer("the answer has no choices")
    if fields["choices"].strip(b"[] \t\r\n") == b"":
        # An answer in form, which was paid for and says nothing: its provider is asked once.
        raise NotAnAnswer("the answer has no choices", final=True)
    usage = _usage(fields, usage_rule)
    # Counted only where it is needed: it takes longer than all the rest.
    silent = usage is None or not usage.output_tokens
    tokens = answer_tokens(fields.get("choices")) if silent else 0
    return Answer(splice(body, replace={"model": model}, known=found), usage, tokens)


def _usage(fields: Mapping[str, bytes], rule: UsageRule) -> Usage | None:
    reports = UsageReports(rule)
    for name, add in (
        ("usage", reports.add),
        ("x_groq", reports.add_nested),
        ("timings", reports.add_timings),
    ):
        if name in fields:
            add(fields[name])
    usage = reports.usage
    if usage is None or not usage.output_tokens:
        for number, choice in enumerate(choices_of(fields.get("choices", b"null"))):
            if "usage" in choice:
                reports.add_of_choice(number, choice["usage"])
        usage = reports.usage
    return usage
