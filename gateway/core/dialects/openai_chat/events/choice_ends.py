"""Which choices of a stream have come, and which of them are complete."""

from __future__ import annotations


class ChoiceEnds:
    """Choices by their index. `wanted` is how many were asked for (`n`).

    all_ended   each that was asked for, and each that has come, has its finish_reason
    one_is_cut  some have a finish_reason and others, which have come, lack it. Where none has
                one the provider sends none at all, and nothing follows from that.
    """

    __slots__ = ("_ended", "_seen", "_wanted", "all_ended")

    def __init__(self, wanted: int) -> None:
        self.all_ended = False
        self._wanted = wanted
        self._seen: set[int] = set()
        self._ended: set[int] = set()

    def __repr__(self) -> str:
        return f"<ChoiceEnds {len(self._ended)} of {len(self._seen)}, {self._wanted} wanted>"

    @property
    def one_is_cut(self) -> bool:
        return 0 < len(self._ended) < len(self._seen)

    def see(self, index: int) -> None:
        """Note that something of a choice has come."""
        if index not in self._seen:
            self._seen.add(index)
            self._judge()

    def end(self, index: int) -> None:
        """Note the finish_reason of a choice that was seen."""
        self._ended.add(index)
        self._judge()

    def _judge(self) -> None:
        ended = len(self._ended)
        self.all_ended = ended >= self._wanted and ended == len(self._seen)
