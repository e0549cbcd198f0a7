"""How likely each token of an answer was, as OpenAI's APIs tell it."""

from __future__ import annotations

from typing import Final

import msgspec


class TopLogprob(msgspec.Struct, gc=False):
    """A token that could have stood there. Numbers keep their digits."""

    token: str
    logprob: msgspec.Raw
    bytes: list[int] | None = None


class TokenLogprob(msgspec.Struct):
    """A token of the answer."""

    token: str
    logprob: msgspec.Raw
    bytes: list[int] | None = None
    top_logprobs: list[TopLogprob] = []


_DECODE: Final = msgspec.json.Decoder(list[TokenLogprob]).decode


def read_logprobs(raw: msgspec.Raw) -> list[TokenLogprob] | None:
    """Return the tokens of a list; None for an empty one and for what is none.

    Some of the API's lists leave out the bytes of a token, and others must have them.
    """
    try:
        found = _DECODE(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    for token in found:
        token.bytes = _bytes_of(token)
        for each in token.top_logprobs:
            each.bytes = _bytes_of(each)
    return found or None


def _bytes_of(token: TokenLogprob | TopLogprob) -> list[int]:
    if token.bytes is not None:
        return token.bytes
    return list(token.token.encode("utf-8", "surrogatepass"))
