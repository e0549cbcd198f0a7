"""Stop sequences that a provider does not take: the gateway cuts the answer itself.

OpenAI's Responses have none, its models that reason take none, its chat completions four at most,
and Anthropic's API none of white space alone. What is behind a sequence is not shown. The provider
goes on to its end all the same: usage comes last, and what was generated is paid for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol, runtime_checkable

from ..base import ForeignRecipient
from .call import CanonicalCall
from .events import BlockStarted, BlockStopped, Event, Grown, Stopped, StopReason
from .fidelity import Fidelity
from .logprobs import TokenLogprob

# Each piece of text is held against all of them, to the length of each.
MOST_SEQUENCES: Final = 16
LONGEST: Final = 128


@runtime_checkable
class SomeStops(Protocol):
    """A translator whose API does not take all stop sequences."""

    def takes_stop(self, sequence: str, number: int, recipient: ForeignRecipient) -> bool:
        """Say whether `recipient` takes a sequence that `number` others stand before."""
        ...


def own_stops(
    call: CanonicalCall, target: object, recipient: ForeignRecipient, fidelity: Fidelity
) -> list[str]:
    """Take out of `call` the sequences that its target does not take, and return them.

    Raises Untranslatable for more of them than the gateway looks for.
    """
    if not call.stop or not isinstance(target, SomeStops):
        return []
    taken: list[str] = []
    own: list[str] = []
    for sequence in call.stop:
        if target.takes_stop(sequence, len(taken), recipient):
            taken.append(sequence)
        elif sequence:
            own.append(sequence)
    call.stop = taken
    if len(own) > MOST_SEQUENCES or any(len(each) > LONGEST for each in own):
        why = f"the gateway looks for {MOST_SEQUENCES} sequences of {LONGEST} characters at most"
        fidelity.demand(call.path("stop"), why)
        return []
    return own


class CutAnswer:
    """An answer that ends before the first of `sequences` in one of its texts."""

    def __init__(self, sequences: list[str]) -> None:
        self._sequences = sequences
        self._reach = max(map(len, sequences)) - 1
        self._firsts = {each[0] for each in sequences}
        self._over = False
        # What is held of the texts that are open, since it may be the beginning of a sequence.
        self._held: dict[int, str] = {}
        self._tokens: list[TokenLogprob] = []

    def of(self, events: Iterable[Event]) -> Iterator[Event]:
        """Yield `events` as far as they are shown."""
        for event in events:
            if self._over:
                return
            if type(event) is Grown and event.index in self._held:
                yield from self._grown(event)
                continue
            if isinstance(event, BlockStarted) and event.kind == "text":
                self._held[event.index] = ""
            elif isinstance(event, BlockStopped):
                yield from self._let_go(event.index)
            elif isinstance(event, Stopped):
                for index in list(self._held):
                    yield from self._let_go(index)
            yield event

    def _grown(self, event: Grown) -> Iterator[Event]:
        index = event.index
        text = self._held[index] + event.text
        found = [(at, each) for each in self._sequences if (at := text.find(each)) >= 0]
        if found:
            # The one that is whole first, however the text is cut into pieces; of two, the longer.
            at, sequence = min(found, key=lambda each: (each[0] + len(each[1]), each[0]))
            self._over = True
            if at:
                yield Grown(index, text[:at], logprobs=self._tokens or None)
            yield BlockStopped(index)
            yield Stopped(StopReason.SEQUENCE, sequence)
            return
        self._tokens += event.logprobs or []
        keep = self._begun(text)
        shown = text[: len(text) - keep]
        self._held[index] = text[len(text) - keep :]
        if shown:
            yield Grown(index, shown, logprobs=self._tokens or None)
            self._tokens = []

    def _begun(self, text: str) -> int:
        """Return how long the longest end of `text` is that a sequence begins with."""
        if self._firsts.isdisjoint(text[-self._reach :] if self._reach else ""):
            return 0
        for size in range(min(self._reach, len(text)), 0, -1):
            tail = text[-size:]
            if tail[0] in self._firsts and any(each.startswith(tail) for each in self._sequences):
                return size
        return 0

    def _let_go(self, index: int) -> Iterator[Event]:
        held = self._held.pop(index, "")
        if held:
            yield Grown(index, held, logprobs=self._tokens or None)
            self._tokens = []
