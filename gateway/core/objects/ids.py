"""The ids of objects that providers keep, in bodies and in answers.

OpenAI's and Anthropic's are known by how they begin (platform.openai.com/docs/api-reference,
docs.anthropic.com): files, uploads, batches, fine-tuning jobs and checkpoints, vector stores,
containers, skills. Others' are UUIDs, which are told by the members that they stand in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ..wire.bounds.nesting import nested_too_deeply

_BEGINNINGS: Final = (
    *("file", "cfile", "upload", "batch", "msgbatch", "ftjob", "ftckpt", "vs", "vsfb"),
    *("cntr", "container", "skill", "skillver"),
)
_ID: Final = re.compile(rf"(?:{'|'.join(_BEGINNINGS)})[-_][A-Za-z0-9_-]{{6,128}}")
# What could be an id, of whatever form.
_MAY_BE: Final = re.compile(r"[A-Za-z0-9_.:-]{6,200}")
_MEMBERS: Final = frozenset(
    {
        *("id", "file_id", "input_file_id", "output_file_id", "error_file_id"),
        *("output_file", "error_file", "result_files", "vector_store_id", "container_id"),
    }
)
# Texts of a body that are looked at; a request names hundreds of files at most (`file_ids`).
MOST: Final = 2000


def looks_like_id(text: str) -> bool:
    """Say whether `text` can be nothing but the id of an object."""
    return _ID.fullmatch(text) is not None


def decoded(body: bytes) -> Any:
    """Return what `body` is in JSON; None if it is none."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class _Members(list[tuple[str, Any]]):
    """The members of an object, those that stand there twice included."""


def read_whole(body: bytes) -> Any:
    """Return what `body` is in JSON, with all that any reader of it could find.

    Of two members of one name some take the first and others the last, and lone surrogates are read
    by some and refused by others, so both are there. Raises ValueError.
    """
    if nested_too_deeply(body):
        raise ValueError("nested too deeply")
    return json.loads(
        body, object_pairs_hook=_Members, parse_int=len, parse_float=len, parse_constant=len
    )


def texts_in(found: Any) -> list[str] | None:
    """Return the texts in decoded JSON that could be ids, each once; None if there are too many."""
    texts: dict[str, None] = {}
    for _, text in texts_by_member(found):
        if _MAY_BE.fullmatch(text):
            texts[text] = None
            if len(texts) > MOST:
                return None
    return [*texts]


def ids_in(found: Any) -> list[str]:
    """Return the ids in a decoded answer, each once."""
    return [
        *dict.fromkeys(
            text
            for member, text in texts_by_member(found)
            if looks_like_id(text) or (member in _MEMBERS and _MAY_BE.fullmatch(text))
        )
    ][:MOST]


def texts_by_member(found: Any, member: str = "") -> Iterator[tuple[str, str]]:
    """Yield the texts in `found`, each with the name of the member that it stands in."""
    # A stack and no recursion: what is nested deeply is a caller's choice.
    left = [(member, found)]
    while left:
        name, value = left.pop()
        if isinstance(value, str):
            yield name, value
        elif isinstance(value, _Members):
            left += value
        elif isinstance(value, list):
            left += [(name, each) for each in value]
        elif isinstance(value, dict):
            left += [(str(key), each) for key, each in value.items()]
