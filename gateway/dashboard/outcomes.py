"""What came of something that was done, for the page that is gone to then.

It stands in the address, for there is no other place that works without a script; and since
anybody may write an address, it is sealed with the session's token.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

import msgspec

from ..admin.request import AdminRequest
from . import links

_SEAL: Final = 32
# By code: the state, and the sentence about what was acted on.
WORDS: Final[dict[str, tuple[str, str]]] = {
    "drained": ("ok", "{} is drained. It is sent nothing new; what is on it is finished."),
    "enabled": ("ok", "{} takes requests again."),
    "out": ("ok", "{} is not ready any more. What is under way there is finished."),
    "back": ("ok", "{} is ready for new requests again."),
    "already": ("off", "{} was so already. Nothing has changed."),
    "reset": ("ok", "The breaker of {} is closed. It begins with a slow start."),
    "cancelled": ("ok", "{} is cancelled. Its caller was told."),
    "asked": ("ok", "{} is not in this process. The others were asked to cancel it."),
    "reloaded": ("ok", "The configuration is reloaded. Generation {} is in use."),
    "reload-failed": ("bad", "The reload failed, and what was in use before still is: {}, below."),
    "capturing": ("ok", "Requests of {} are captured from now on, in every process."),
    "captured": ("ok", "Requests of {} are captured no longer than the settings say."),
}


class Outcome(msgspec.Struct, frozen=True):
    """A sentence: what it is about stands between two parts of it."""

    state: str
    before: str
    name: str
    after: str


def with_outcome(admin: AdminRequest, page: str, code: str, name: str) -> str:
    """Return the address of a page that says what came of it."""
    return links.to(page, did=code, of=name, seal=_seal(admin, code, name))


def taken(admin: AdminRequest) -> Outcome | None:
    """Take what is to be said out of the parameters; None if there is nothing, or it is forged."""
    given = [admin.params.pop(each, [""])[0] for each in ("did", "of", "seal")]
    code, name, seal = given
    if (
        code not in WORDS
        or not _token(admin)
        or not hmac.compare_digest(
            seal.encode("utf-8", "replace"), _seal(admin, code, name).encode()
        )
    ):
        return None
    state, text = WORDS[code]
    before, _, after = text.partition("{}")
    return Outcome(state, before, name, after)


def _seal(admin: AdminRequest, code: str, name: str) -> str:
    text = "\0".join((code, name)).encode("utf-8", "replace")
    return hmac.new(_token(admin).encode(), text, hashlib.sha256).hexdigest()[:_SEAL]


def _token(admin: AdminRequest) -> str:
    """Return what only the gateway and this session know; "" for an admin's key, which has none."""
    visitor = admin.visitor
    return "" if visitor is None or visitor.csrf_token is None else visitor.csrf_token
