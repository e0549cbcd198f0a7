"""What messages and results consist of (openai-python `types/responses/response_input_*.py`)."""

from __future__ import annotations

from typing import Final

import msgspec

from ...canonical.call import Audio, Block, Document, Image, RefusalText, Text
from ...canonical.data_url import data_of_url
from ...canonical.fidelity import Fidelity
from ...canonical.reading import Fields, fields_of, is_text, items_of, member_text, text_of
from .sources import read_annotations

_Raw = msgspec.Raw

# `text` is what some clients write for either, `summary_text` and `reasoning_text` are of
# reasoning that was put into a message.
_TEXTS: Final = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text"})
_EMPTY: Final = (b"[]", b"{}")
# Of each part; the rest is listed.
_KNOWN: Final = frozenset(
    {"type", "text", "refusal", "image_url", "file_id", "detail", "annotations", "logprobs"}
)


def read_parts(raw: _Raw, path: str, fidelity: Fidelity) -> list[Block]:
    """Return the blocks of a string or of a list of parts."""
    if is_text(raw):
        text = text_of(raw, path)
        return [Text(text)] if text else []
    found: list[Block] = []
    for number, item in enumerate(items_of(raw, path)):
        where = f"{path}.{number}"
        block = _part(fields_of(item, where), where, fidelity)
        if block is not None:
            found.append(block)
    return found


def _part(part: Fields, path: str, fidelity: Fidelity) -> Block | None:
    kind = member_text(part, "type", path)
    if kind in _TEXTS:
        _list_rest(part, path, fidelity)
        cited = read_annotations(part.get("annotations", _Raw(b"[]")))
        citations = [each for each in cited if each is not None]
        return Text(member_text(part, "text", path), citations=citations)
    if kind == "refusal":
        return RefusalText(member_text(part, "refusal", path))
    if kind == "input_image":
        _list_rest(part, path, fidelity)
        return _image(part, path, fidelity)
    if kind == "input_file":
        return _file(part, path)
    if kind == "input_audio":
        audio = fields_of(part.get("input_audio", _Raw(b"0")), f"{path}.input_audio")
        data = member_text(audio, "data", f"{path}.input_audio")
        return Audio(data, member_text(audio, "format", f"{path}.input_audio", "wav"))
    fidelity.demand(f"{path} ({kind})", "parts of this type cannot be translated")
    return None


def _list_rest(part: Fields, path: str, fidelity: Fidelity) -> None:
    """List what a part has besides: where a cache ends, say."""
    for name in sorted(part.keys() - _KNOWN):
        if bytes(part[name]) not in _EMPTY:
            fidelity.hint(f"{path}.{name}")


def _image(part: Fields, path: str, fidelity: Fidelity) -> Image | None:
    detail: str | None = member_text(part, "detail", path, "auto")
    if detail == "auto":
        # What it is without a word.
        detail = None
    if "image_url" not in part:
        fidelity.demand(f"{path}.file_id", "an image by its id is known to one provider only")
        return None
    url = member_text(part, "image_url", path)
    media, data = data_of_url(url)
    if data is None:
        return Image(url=url, detail=detail)
    return Image(data=data, media_type=media, detail=detail)


def _file(part: Fields, path: str) -> Document:
    title = member_text(part, "filename", path, "") or None
    if "file_url" in part:
        return Document(url=member_text(part, "file_url", path), title=title)
    if "file_data" not in part:
        return Document(id=member_text(part, "file_id", path), title=title)
    given = member_text(part, "file_data", path)
    media, data = data_of_url(given)
    # Without a type in front it is what most files are.
    data = given if data is None else data
    return Document(data=data, media_type=media or "application/pdf", title=title)
