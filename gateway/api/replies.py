"""Answers that are the gateway's own and no dialect's."""

from __future__ import annotations

from typing import Final

import msgspec

from ..core.dialects.base import HeaderList

Reply = tuple[int, HeaderList, bytes]

_ENCODE: Final = msgspec.json.Encoder().encode
_JSON: Final = (b"content-type", b"application/json")


def json_reply(value: object) -> tuple[HeaderList, bytes]:
    return [_JSON], _ENCODE(value)
