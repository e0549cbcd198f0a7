"""Members of a request without which it gets the same answer.

They concern the caller's own account with the vendor: who asks, what is kept, which cache is looked
into first. A provider that refuses one is spared it whatever `unsupported` says.
"""

from __future__ import annotations

from typing import Final

HINTS: Final = frozenset(
    {
        *("metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier"),
        *("service_tier", "store", "user"),
    }
)
# Values by which a member asks for what it would get anyway.
NEUTRAL: Final = frozenset({b"null", b"false", b"0", b"0.0", b'""', b"{}", b"[]"})
# And those of single members: one answer, and tool calls side by side, as is usual.
NEUTRAL_OF: Final = {"n": frozenset({b"1"}), "parallel_tool_calls": frozenset({b"true"})}
