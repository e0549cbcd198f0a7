"""An answer of numbers: errors in it, its usage, and its model's name."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...records.usage import Usage
from ...wire.json_scan import NOTHING
from ...wire.splice import InvalidJSON, members, splice
from ..base import Answer, NotAnAnswer
from ..openai_chat.faults import reported
from ..openai_chat.usage.reports import UsageReports

_DECODER: Final = msgspec.json.Decoder()
# What is read of an answer is shorter, errors included; its numbers are never copied.
_READ: Final = 64 * 1024
_COUNTED: Final = ("completion_tokens", "output_tokens")
_PROMPT: Final = "prompt_tokens"


def rewrite_numbers(body: bytes, model: bytes, holder: str) -> Answer:
    """Return `body` under the requested name `model` (JSON), every other byte as it was.

    `holder` is the member that has the numbers. Raises NotAnAnswer for what has none: no JSON
    object, and the errors that some servers send with status 200.
    """
    try:
        found = members(body)
    except InvalidJSON as exc:
        raise NotAnAnswer(f"the answer is not a JSON object: {exc}") from exc
    fields = {
        each.key: body[each.value_start : each.end]
        for each in found
        if each.end - each.value_start <= _READ
    }
    numbers = fields.get(holder, b"")
    if not numbers and all(each.key != holder for each in found):
        numbers = b"null"
    if numbers in NOTHING:
        error = reported(body, fields)
        if error is not None:
            raise NotAnAnswer("the answer is an error with status 200", error=error)
        if numbers != b"[]":
            raise NotAnAnswer(f"the answer has no {holder}")
    return Answer(
        splice(body, replace={"model": model}, known=found),
        read_usage_of_input(fields.get("usage")),
    )


def read_usage_of_input(raw: bytes | None) -> Usage | None:
    """Return the usage of an answer that has no text; None if `raw` does not count it.

    All tokens are of the input, so a total alone says it (Voyage reports nothing else), and a
    total that is larger than the prompt, by what a server adds to it, is what is charged.
    """
    if raw is None:
        return None
    try:
        found: Any = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    reports = UsageReports()
    if any(found.get(name) for name in _COUNTED):
        reports.add_found(found)
        return reports.usage
    total = _input({_PROMPT: found.pop("total_tokens", None)})
    if total > _input(found):
        found[_PROMPT] = total
    reports.add_found(found)
    return reports.usage


def _input(found: dict[str, Any]) -> int:
    reports = UsageReports()
    reports.add_found(found)
    return 0 if reports.usage is None else reports.usage.input_tokens
