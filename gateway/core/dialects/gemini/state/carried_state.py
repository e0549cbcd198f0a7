"""Other providers' state in the only slot that this API has for it: a part's `thoughtSignature`.

That is base64 to Google's SDKs, which may write it in the alphabet for URLs (google-genai does).
Clients drop thoughts before they replay an answer (Gemini CLI does), and keep the signatures of
calls and texts: so the state has the text of its thought with it, and stands at the next part that
is none.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec

from ...canonical.call import Thinking
from ...canonical.opaque import TAG

# The tag's 18 bytes are 24 letters of base64, whatever follows.
_PREFIX: Final = base64.b64encode(TAG.encode()).decode()
_PREFIXES: Final = (_PREFIX, base64.urlsafe_b64encode(TAG.encode()).decode())
# How it stands in a body: a string begins with it.
IN_JSON: Final = tuple(f'"{each}'.encode() for each in dict.fromkeys(_PREFIXES))


class _State(msgspec.Struct, array_like=True):
    family: str
    signature: str
    text: str = ""
    encrypted: bool = False


_STATES: Final = msgspec.json.Decoder(list[_State])
_ENCODE: Final = msgspec.json.Encoder().encode


def carried(thoughts: list[Thinking]) -> str:
    """Return the signature that carries `thoughts`."""
    states = [_State(each.family, each.signature, each.text, each.encrypted) for each in thoughts]
    return base64.b64encode(TAG.encode() + _ENCODE(states)).decode()


def is_carried(signature: str) -> bool:
    """Say whether a signature is one that the gateway has made."""
    return signature.startswith(_PREFIXES)


def released(signature: str) -> list[Thinking]:
    """Return what `carried` was given; nothing if a client has changed it."""
    text = signature.replace("-", "+").replace("_", "/")
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4))
        states = _STATES.decode(data.removeprefix(TAG.encode()))
    except (binascii.Error, ValueError):
        return []
    return [Thinking(each.text, each.family, each.signature, each.encrypted) for each in states]
