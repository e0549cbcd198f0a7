"""What is declared of a deployment. What is not declared is left to the provider to refuse."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

# For these alone no request is passed over.
_NO_BOUND: Final = frozenset({"web_search", "context_with_answer"})
_Count = Annotated[int, Meta(ge=1)]


class Capabilities(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """False: it cannot; True: it can, whatever is declared below; None: as declared below.

    `context_tokens` is how long a prompt may be, by the gateway's estimate, or with
    `context_with_answer` the prompt and all tokens that the answer is allowed; `max_output_tokens`
    is how many tokens may be asked for. Callers of another API get that many instead. `web_search`
    says that the provider searches the web itself; only requests in another API ask for it.
    """

    images: bool | None = None
    documents: bool | None = None
    audio: bool | None = None
    tools: bool | None = None
    parallel_tools: bool | None = None
    structured_output: bool | None = None
    thinking: bool | None = None
    streaming: bool | None = None
    web_search: bool | None = None
    context_tokens: _Count | None = None
    context_with_answer: bool | None = None
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
            for value in (
                getattr(self, name) for name in self.__struct_fields__ if name not in _NO_BOUND
            )
        )


UNDECLARED: Final = Capabilities()
