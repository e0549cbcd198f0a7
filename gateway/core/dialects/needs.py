"""What a request needs of the model that answers it.

Each dialect reads it from the request's bytes (`needs.py` of its package), and only for models
whose routes declare that they cannot do something (`core/routing/capabilities/`). Of each message
no more is taken apart than the types of its parts. To look for their names first takes longer: 19
to 28 ms a MB, where reading them takes 7.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from ..limits.estimate import estimate_tokens
from ..wire.json_scan import NOTHING
from ..wire.splice import JsonMember

NULL: Final = msgspec.Raw(b"null")
# Parts inside of parts: the blocks of a tool's result are one level down.
_DEEPEST: Final = 3


class Needs(msgspec.Struct, frozen=True, gc=False):
    """Where the request asks for each, as its own API calls the place; "" if it does not.

    `prompt` is about how many tokens the prompt has, 0 where that is no measure of the model's
    context; `answer` is how many the caller allows an answer, 0 if it does not say.
    """

    images: str = ""
    documents: str = ""
    audio: str = ""
    tools: str = ""
    parallel_tools: str = ""
    structured_output: str = ""
    thinking: str = ""
    streaming: str = ""
    prompt: int = 0
    answer: int = 0


class _Part(msgspec.Struct):
    type: str = ""
    content: msgspec.Raw = NULL


class _Typed(msgspec.Struct):
    type: str = ""


_PARTS: Final = msgspec.json.Decoder(list[_Part])
_TYPED: Final = msgspec.json.Decoder(_Typed)
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def values_of(
    body: bytes, members: Sequence[JsonMember], names: frozenset[str]
) -> dict[str, bytes]:
    """Return the values of those `members` that are named and say something."""
    found = {each.key: body[each.value_start : each.end] for each in members if each.key in names}
    return {key: value for key, value in found.items() if value not in NOTHING}


def prompt_tokens(body: bytes) -> int:
    """Return about how many tokens the prompt of a request has."""
    return estimate_tokens(body, 0)


def type_of(raw: bytes | msgspec.Raw) -> str:
    """Return the `type` of an object; "" for what has none."""
    try:
        return _TYPED.decode(raw).type
    except (msgspec.DecodeError, RecursionError):
        return ""


def fields_of(raw: bytes | msgspec.Raw) -> Mapping[str, msgspec.Raw]:
    """Return the members of an object; none for what is no object."""
    try:
        return _FIELDS.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return {}


def find_parts(
    lists: Iterable[tuple[str, msgspec.Raw]], kinds: Mapping[str, str], depth: int = 0
) -> dict[str, str]:
    """Return the path of the first part of each of `kinds`, by what `kinds` says it needs.

    `lists` are pairs of a path and the parts that stand there; what is no list of parts is
    passed over: its provider says what is wrong with it.
    """
    found: dict[str, str] = {}
    for path, raw in lists:
        if not _is_list(raw):
            continue
        try:
            parts = _PARTS.decode(raw)
        except (msgspec.DecodeError, RecursionError):
            continue
        for number, part in enumerate(parts):
            where = f"{path}.{number}"
            if (need := kinds.get(part.type)) is not None:
                found.setdefault(need, where)
            elif depth < _DEEPEST and _is_list(part.content):
                inner = find_parts([(f"{where}.content", part.content)], kinds, depth + 1)
                found = inner | found
    return found


def _is_list(raw: msgspec.Raw) -> bool:
    # Without a copy: it may be megabytes of base64.
    return bytes(memoryview(raw)[:1]) == b"["
