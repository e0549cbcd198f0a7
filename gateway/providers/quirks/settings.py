"""The table `quirks` of a provider."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ...core.records.counting import UsageRule

# What codes and words of a refusal may stand for: names of `core.routing.causes.Cause`.
RefusalCause = Literal[
    "account_refused",
    "auth_failed",
    "content_policy",
    "context_length",
    "rate_limited",
    "rejected",
    "request_too_large",
    "server_error",
    "unsupported",
]
# What ids of tool calls must look like.
ToolIdForm = Literal["9 letters and digits"]
_Member = Annotated[str, Meta(min_length=1, max_length=64)]
_Word = Annotated[str, Meta(min_length=2, max_length=200)]


class Quirks(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a server differs.

    refuses         members of a body that it answers with an error
    renames         members that it has under another name
    tool_ids        what ids of tool calls must look like
    usage           what of its counts is not in another, and must be added to it
    key_header      the header that shows the key, which stands there alone
    max_body_bytes  the largest body that it takes
    codes, words    of refusals, by what they mean: codes are compared whole, words found in texts
    """

    refuses: tuple[_Member, ...] = ()
    renames: dict[_Member, _Member] = {}
    tool_ids: ToolIdForm | None = None
    usage: UsageRule = "usual"
    key_header: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]*\Z", description="a header")] = ""
    max_body_bytes: Annotated[int, Meta(ge=1024)] | None = None
    codes: dict[RefusalCause, tuple[_Word, ...]] = {}
    words: dict[RefusalCause, tuple[_Word, ...]] = {}


NO_QUIRKS = Quirks()
