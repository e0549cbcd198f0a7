"""The headers of an answer: ours, and what is passed on of a provider's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..protocols import HeaderPairs

# What of a provider's answer headers a caller gets, under a prefix of its own so that the two
# sources never mix; but for the limits, which clients pace themselves by if they have none here.
PASSED_ON: Final = {
    b"x-request-id": b"x-provider-request-id",
    b"openai-organization": b"x-provider-openai-organization",
    b"openai-processing-ms": b"x-provider-openai-processing-ms",
    b"openai-version": b"x-provider-openai-version",
}
PASSED_ON_WITH_LIMITS: Final = {
    **PASSED_ON,
    **{
        name: name
        for each in (b"limit", b"remaining", b"reset")
        for name in (b"x-ratelimit-%b-requests" % each, b"x-ratelimit-%b-tokens" % each)
    },
}
# And of a rejection that is relayed as it came.
ABOUT_BODY: Final = {name: name for name in (b"content-type", b"content-encoding")}


def clean(headers: HeaderPairs, names: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """Return those `headers` that have a new name in `names`, under it."""
    # A control character would be legal for h11 and end up on somebody's terminal.
    return [
        (names[name], value)
        for name, value in headers
        if name in names and value.isascii() and value.decode().isprintable()
    ]
