"""What the model behind a deployment takes of what its API has a form for.

Models of one API differ: a member that one of them knows is a 400 from another. What a caller of
another API sends as its default must not fail for that, so the writers of calls ask here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
# By an effort, in words; by a budget of tokens; by an effort with thinking that the model doses
# itself; or not at all.
ReasoningForm = Literal["none", "effort", "budget", "adaptive"]
# `temperature` and `top_p`: both; one of the two; both unless it reasons; or neither.
Sampling = Literal["all", "one", "unless_reasoning", "none"]

_ORDER: Final[Sequence[Effort]] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


class ModelTerms(msgspec.Struct, frozen=True):
    """The terms of one model at one provider.

    `efforts` are the words for an effort of reasoning that it knows, the least first. `refused` are
    members of its API, by their names there, that it answers with a 400 and that are harmless to
    leave out. `stops` says whether it takes stop sequences, `searches` whether its provider
    searches the web for it.
    """

    sampling: Sampling = "all"
    efforts: tuple[Effort, ...] = ("low", "medium", "high")
    refused: frozenset[str] = frozenset()
    stops: bool = True
    searches: bool = False

    def effort(self, asked: Effort) -> Effort:
        """Return the effort that comes nearest to what is `asked`; of two as near, the greater."""
        wanted = _ORDER.index(asked)
        return min(self.efforts, key=lambda each: abs(_ORDER.index(each) - wanted - 0.25))

    @property
    def least_effort(self) -> Effort:
        """Return the least that it can be asked for."""
        return self.efforts[0]


USUAL: Final = ModelTerms()
