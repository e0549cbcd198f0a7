"""The objects that a request to a model names: files, vector stores, containers, skills.

OpenAI's bodies have them as `file_id` (chat, Responses, images), `file_ids`, `vector_store_ids` and
`container` (tools of Responses); Anthropic's as `file_id` and `container`, with `skill_id` inside.
What a message says is no such name, whatever it looks like.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from ...errors import InvalidRequest
from .ids import MOST, looks_like_id, read_whole, texts_by_member

# Most bodies have none of these, and nothing else of them is looked at. To search for one costs a
# microsecond for two kilobytes.
_HINT: Final = b"_id"
_NAMED: Final = (b"file_id", b"vector_store_id", b"container_id", b"skill_id")
# Below one of these members.
_CONTAINER: Final = b"container"
_WITH_CONTAINERS: Final = frozenset({"tools", "container"})
# A letter may be written so anywhere, in a name too.
_ESCAPED: Final = b"\\u00"
_LETTER: Final = re.compile(rb"\\u00([2-7][0-9a-fA-F])")
_MEMBERS: Final = frozenset(
    {
        *("file_id", "file_ids", "vector_store_id", "vector_store_ids"),
        *("container", "container_id", "skill_id"),
    }
)
# The id of a container is the `id` in an object, as those of much else are.
_OF_CONTAINERS: Final = ("cntr_", "container_")


def may_name_objects(body: bytes, members: Iterable[str]) -> bool:
    """Say whether `body`, which has these `members`, is worth to be looked at."""
    if _ESCAPED in body:
        # Letters beyond ASCII are written so by many clients, and hide no name.
        body = _LETTER.sub(_letter, body)
    if _HINT in body and any(each in body for each in _NAMED):
        return True
    return not _WITH_CONTAINERS.isdisjoint(members) and _CONTAINER in body


def _letter(found: re.Match[bytes]) -> bytes:
    return bytes([int(found[1], 16)])


def named_objects(body: bytes) -> list[str]:
    """Return the ids of objects that `body` names, each once; too many are cut off by one more.

    Raises InvalidRequest (400) if it cannot be read.
    """
    try:
        whole = read_whole(body)
    except ValueError as exc:
        raise InvalidRequest(f"the body cannot be read: {exc}", code="invalid_json") from exc
    found: dict[str, None] = {}
    for member, text in texts_by_member(whole):
        named = member in _MEMBERS or (member == "id" and text.startswith(_OF_CONTAINERS))
        if named and looks_like_id(text):
            found[text] = None
            if len(found) > MOST:
                break
    return [*found]
