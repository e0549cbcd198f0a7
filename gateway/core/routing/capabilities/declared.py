"""What is declared of a deployment. What is not declared is left to the provider to refuse."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

_Count = Annotated[int, Meta(ge=1)]


class Capabilities(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """False: it cannot; True: it can, whatever is declared below; None: as declared below.

    `context_tokens` is how long a prompt may be, by the gateway's estimate; `max_output_tokens`
    is how many tokens may be asked for. Callers of another API get that many instead.
    """

    images: bool | None = None
    documents: bool | None = None
    audio: bool | None = None
    tools: bool | None = None
    parallel_tools: bool | None = None
    structured_output: bool | None = None
    thinking: bool | None = None
    streaming: bool | None = None
    context_tokens: _Count | None = None
    max_output_tokens: _Count | None = None

    def override(self, other: Capabilities) -> Capabilities:
        """Return these, but for what `other` declares."""
        declared = {
            name: value
            for name in self.__struct_fields__
            if (value := getattr(other, name)) is not None
        }
        return msgspec.structs.replace(self, **declared) if declared else self

    @property
    def restricts(self) -> bool:
        """Say whether there is any request that it could not serve."""
        return any(
            value is not None and value is not True
            for value in (getattr(self, name) for name in self.__struct_fields__)
        )


UNDECLARED: Final = Capabilities()
