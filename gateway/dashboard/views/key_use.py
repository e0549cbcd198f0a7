"""How a key is used: what a person pastes to try it."""

from __future__ import annotations

import shlex
from typing import Final

import msgspec

from ...config.snapshot import Snapshot

HELLO: Final = "Hello"
# What stands for a secret that is not shown.
PLACE: Final = "$GATEWAY_KEY"


class KeyUse(msgspec.Struct, frozen=True):
    """`body` is the request of a `curl` command, quoted for a shell; `base` ends in /v1."""

    base: str
    model: str
    secret: str
    body: str


def key_use(base: str, model: str, secret: str = PLACE) -> KeyUse:
    """Return what the commands for a key are made of."""
    messages = [{"role": "user", "content": HELLO}]
    body = msgspec.json.encode({"model": model, "messages": messages}).decode()
    return KeyUse(f"{base}/v1", model, secret, shlex.quote(body))


def a_model(models: tuple[str, ...], snapshot: Snapshot) -> str:
    """Return the name of a model that a key with these may use; "MODEL" if none is known."""
    exact = next((each for each in models if not each.endswith("*")), None)
    if exact is not None:
        return exact
    beginnings = tuple(each[:-1] for each in models)
    found = (each.name for each in snapshot.models if each.name.startswith(beginnings))
    return next((name for name in found if not name.endswith("*")), "MODEL")
