"""What a batch has used, in its results and in the object that says that it has ended.

    OpenAI      a file with a line for each request, `response.body` being the answer
                (platform.openai.com/docs/guides/batch); the ended batch itself has `model` and
                `usage`, in those that were made from September 2025 on
    Anthropic   `/results`, a line for each request, `result.message` being the answer
                (docs.anthropic.com, "Retrieve Message Batch results")

Lines are looked at one by one as they go by; of a model's answers only the sum is held.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...records.usage import Usage, added
from ..anthropic_messages.usage import read_usage as read_message_usage
from ..openai_chat.usage.reports import read_usage

# An answer with images may have some megabytes.
_LONGEST: Final = 16 * 1024 * 1024
# Of one batch; more is no provider's.
_MOST_MODELS: Final = 64
_ENDED: Final = frozenset({"completed", "expired", "cancelled"})
_FILES: Final = ("output_file_id", "output_file")


class _Body(msgspec.Struct):
    model: str = ""
    usage: msgspec.Raw = msgspec.Raw(b"null")


class _Response(msgspec.Struct):
    body: _Body | None = None


class _Result(msgspec.Struct):
    message: _Body | None = None


class _Line(msgspec.Struct):
    response: _Response | None = None
    result: _Result | None = None


_DECODER: Final = msgspec.json.Decoder(_Line)


class BatchUsage:
    """What the results of one batch say that it has used, by model.

    `whole` is False once something could not be read: then nobody knows what it was in all.
    """

    def __init__(self) -> None:
        self.whole = True
        self._by_model: dict[str, Usage] = {}
        self._parts: list[bytes] = []
        self._held = 0

    def __repr__(self) -> str:
        return f"<BatchUsage {self._by_model}>"

    @property
    def by_model(self) -> dict[str, Usage]:
        return self._by_model

    def feed(self, data: bytes) -> None:
        """Look at the next bytes of the results."""
        if not self.whole:
            return
        first, *rest = data.split(b"\n")
        self._hold(first)
        for piece in rest:
            self._line(b"".join(self._parts))
            self._parts, self._held = [], 0
            self._hold(piece)

    def end(self) -> None:
        """Look at what stands behind the last line break."""
        self._line(b"".join(self._parts))
        self._parts = []

    def _hold(self, piece: bytes) -> None:
        self._held += len(piece)
        if self._held > _LONGEST:
            self.whole, self._parts = False, []
        elif piece:
            self._parts.append(piece)

    def _line(self, line: bytes) -> None:
        if not line.strip() or not self.whole:
            return
        try:
            found = _DECODER.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.whole = False
            return
        # A request that failed has no answer, and costs nothing.
        if found.result is not None and (message := found.result.message) is not None:
            self.add(message.model, read_message_usage(message.usage))
        elif found.response is not None and (body := found.response.body) is not None:
            self.add(body.model, read_usage(body.usage))

    def add(self, model: str, usage: Usage | None) -> None:
        if usage is None:
            return
        before = self._by_model.get(model)
        if before is None and len(self._by_model) >= _MOST_MODELS:
            self.whole = False
            return
        self._by_model[model] = usage if before is None else added(before, usage)


def ended_usage(found: Any) -> BatchUsage | None:
    """Return what a batch that has ended says of itself; None if it says nothing, or goes on."""
    if not isinstance(found, dict) or str(found.get("status")) not in _ENDED:
        return None
    model, usage = found.get("model"), read_usage(msgspec.json.encode(found.get("usage")))
    if not isinstance(model, str) or usage is None or not usage.total:
        return None
    ended = BatchUsage()
    ended.add(model, usage)
    return ended


def result_files(found: Any) -> list[str]:
    """Return the ids of the files with the answers of a batch."""
    if not isinstance(found, dict):
        return []
    return [id for name in _FILES if isinstance(id := found.get(name), str)]
