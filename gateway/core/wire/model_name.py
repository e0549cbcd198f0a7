"""The name of the model in a stream's events, replaced by the one that was asked for."""

from __future__ import annotations

from typing import Final

from .splice import JsonMember, members, splice

_MODEL_KEY: Final = b'"model"'
# Every escaped spelling of the key "model" has one of its letters, all U+0064 to U+006F, as
# \u006X.
_ESCAPED_LETTER: Final = b"\\u006"
_BACKSLASH: Final = 0x5C


class ModelRenamer:
    """Puts `model`, a name as JSON, into the events of one stream.

    They begin alike: id, created and model, which is where the name stands. So it keeps what the
    last event began with, up to the name's end, and what came of that.
    """

    __slots__ = ("_model", "_new_head", "_old_head")

    def __init__(self, model: bytes) -> None:
        self._model = model
        self._old_head = b"-"
        self._new_head = b""

    def set_model(self, data: bytes) -> bytes:
        """Return `data`, an object that has a model, under the requested name."""
        old = self._old_head
        # A second model further on, plain or with escapes, is for the thorough way.
        if (
            data.startswith(old)
            and data.find(_MODEL_KEY, len(old)) < 0
            and (_BACKSLASH not in data or _ESCAPED_LETTER not in data)
        ):
            return self._new_head + data[len(old) :]
        found = members(data)
        self._learn(data, found)
        return splice(data, replace={"model": self._model}, known=found)

    def renamed(self, data: bytes) -> bytes:
        """Return `data`, an object that may have a model, under the requested name."""
        return splice(data, replace={"model": self._model})

    def _learn(self, data: bytes, found: list[JsonMember]) -> None:
        """Note how `data` begins, if its first "model" is the object's own."""
        first = data.find(_MODEL_KEY)
        for member in found:
            if member.key == "model" and member.start == first:
                # The byte after the name belongs to it too: 4 is a beginning of 42.
                self._old_head = data[: member.end + 1]
                self._new_head = (
                    data[: member.value_start] + self._model + data[member.end : member.end + 1]
                )
