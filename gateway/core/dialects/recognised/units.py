"""What is billed by the character, the second or the image, in requests and answers with media.

    speech          the characters of `input`, by the request (platform.openai.com/docs/pricing)
    transcriptions  the seconds of sound, where the answer says so: `usage` of the type `duration`
    images          the images in the answer, by the size and the quality that were asked for

What an answer reports in tokens is priced by tokens; this is for models that have no such prices.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

import msgspec

from ...records.pricing import Prices
from ...records.usage import Unit, Usage

CHARACTER: Final = "character"
SECOND: Final = "second"
IMAGE: Final = "image"
_OF_IMAGES: Final = frozenset({"images", "image_edits", "image_variations"})
_OF_SPEECH: Final = "speech"
_OF_SOUND: Final = frozenset({"transcriptions", "translations"})
_DECODER: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
# A member of an image in a whole answer, and the last event of an image in a stream.
_IMAGE: Final = re.compile(rb'(?<!\\)"(?:b64_json|url)"\s*:\s*"')
_LAST: Final = re.compile(rb'(?<!\\)"type"\s*:\s*"image_(?:generation|edit)\.completed"')
_DURATION: Final = re.compile(rb'(?<!\\)"usage"\s*:\s*(\{[^{}]{0,200}"duration"[^{}]{0,200}\})')
# Longer than what is searched for, but for the report of a duration, which is its own length.
_OVERLAP: Final = 64
_LONGEST: Final = 512


class UnitCounter:
    """Counts the units of one request and its answer.

    `kind` is the unit, `asked` how many the request itself says, `sizes` the names of the price of
    an image, the most exact first.
    """

    def __init__(self, kind: str, asked: int = 0, sizes: tuple[str, ...] = ()) -> None:
        self._kind = kind
        self._count = Decimal(asked)
        self._sizes = sizes
        self._rest = b""
        self._streamed = Decimal(0)

    def __repr__(self) -> str:
        return f"<UnitCounter {self._count} {self._kind}>"

    def feed(self, data: bytes) -> None:
        """Look at the next bytes of the answer."""
        if self._kind == CHARACTER:
            return
        data = self._rest + data
        if self._kind == SECOND:
            self._rest = data[-_LONGEST:]
            for found in _DURATION.finditer(data):
                self._count = _seconds(found[1]) or self._count
            return
        pos = 0
        for found in _IMAGE.finditer(data):
            self._count += 1
            pos = found.end()
        for found in _LAST.finditer(data):
            self._streamed += 1
            pos = max(pos, found.end())
        self._rest = data[max(pos, len(data) - _OVERLAP) :]

    def usage(self, reported: Usage | None, prices: Prices, *, whole: bool) -> Usage | None:
        """Return the usage of an answer that has `reported` so much, and has come `whole` or not.

        Tokens go before units. Of a part of an answer nobody knows what it costs.
        """
        if reported is not None and reported.total:
            return self._of_images(reported, prices)
        count = self._streamed or self._count
        if not count or not whole:
            return reported
        name = self._kind
        if name == IMAGE:
            known = {unit for unit, _ in prices.units}
            # Where sizes have prices, one that has none costs nobody knows what.
            sized = any(unit.startswith(f"{IMAGE} ") for unit in known)
            other = f"{IMAGE} of another size" if sized else IMAGE
            name = next((each for each in self._sizes if each in known), other)
        units: tuple[Unit, ...] = ((name, count),)
        return Usage(units=units, reported_cost=reported.reported_cost if reported else None)

    def _of_images(self, reported: Usage, prices: Prices) -> Usage:
        """Return what was reported, with the tokens of an image counted as what they are."""
        plain = not reported.output_image_tokens and not reported.output_audio_tokens
        if self._kind != IMAGE or not plain or prices.output is not None:
            return reported
        return msgspec.structs.replace(reported, output_image_tokens=reported.output_tokens)


def unit_counter(operation: str, body: bytes) -> UnitCounter | None:
    """Return what counts the units of a request, whose JSON `body` may be all of it or a part."""
    if operation in _OF_SOUND:
        return UnitCounter(SECOND)
    try:
        found = _DECODER.decode(body) if body else {}
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        found = {}
    if operation == _OF_SPEECH:
        text = _text(found.get("input"))
        return UnitCounter(CHARACTER, len(text)) if text else None
    if operation not in _OF_IMAGES:
        return None
    size, quality = _text(found.get("size")), _text(found.get("quality"))
    named = []
    if size and quality:
        named.append(f"{IMAGE} {quality}/{size}")
    if size and not quality:
        named.append(f"{IMAGE} {size}")
    return UnitCounter(IMAGE, sizes=tuple(named))


def _seconds(raw: bytes) -> Decimal | None:
    try:
        found = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        if _text(found.get("type")) != "duration":
            return None
        return msgspec.json.decode(found.get("seconds", b"null"), type=Decimal | None)
    except (msgspec.MsgspecError, UnicodeError):
        return None


def _text(raw: msgspec.Raw | None) -> str:
    try:
        return "" if raw is None else msgspec.json.decode(raw, type=str)
    except (msgspec.DecodeError, UnicodeError):
        return ""
