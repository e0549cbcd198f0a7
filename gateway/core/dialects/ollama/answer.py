"""A whole answer of Ollama's, and the counts in it (api/types.go, `Metrics`)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...limits.estimate import BYTES_PER_TOKEN
from ...records.usage import Usage
from ...wire.splice import InvalidJSON, members, splice
from ..base import Answer, NotAnAnswer
from ..text_meter import text_size

_MOST: Final = 2**31
_TEXTS: Final = ("message", "response")


class Line(msgspec.Struct):
    """What decides something in a line of a stream, or in a whole answer."""

    message: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    response: str | None = None
    thinking: str | None = None
    done: bool = False
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    prompt_eval_count: float | None = None
    eval_count: float | None = None

    @property
    def usage(self) -> Usage | None:
        """Return the counts; None if there are none.

        A prompt that was in the cache already is not counted at all (`prompt_eval_count` absent).
        """
        prompt, answer = _count(self.prompt_eval_count), _count(self.eval_count)
        return Usage(prompt, answer) if prompt or answer else None


LINE: Final = msgspec.json.Decoder(Line)


def rewrite_answer(body: bytes, model: bytes) -> Answer:
    """Return `body` under the requested name `model` (JSON). Raises NotAnAnswer."""
    try:
        found = members(body)
        line = LINE.decode(body)
    except (InvalidJSON, msgspec.DecodeError, RecursionError) as exc:
        raise NotAnAnswer(f"the answer is none of this API's: {exc}") from exc
    if line.error is not msgspec.UNSET:
        raise NotAnAnswer("the answer is an error with status 200", error=body)
    if not any(each.key in _TEXTS for each in found):
        raise NotAnAnswer("the answer has no message")
    usage = line.usage
    tokens = 0 if usage is not None and usage.output_tokens else text_tokens(body)
    return Answer(splice(body, replace={"model": model}, known=found), usage, tokens)


def text_tokens(body: bytes) -> int:
    """Return about how many tokens of text an answer has."""
    return -(-text_size(said_in(body)) // BYTES_PER_TOKEN)


def said_in(line: bytes) -> object:
    """Return what of a line the model has said."""
    found: Any = msgspec.json.decode(line)
    return {name: found[name] for name in (*_TEXTS, "thinking") if name in found}


def _count(value: float | None) -> int:
    return int(value) if value is not None and 0 < value < _MOST else 0
