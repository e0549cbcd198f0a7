"""Places in a JSON document, as `[debug_log] redact` names them.

A small part of JSONPath (RFC 9535), the part that can be read aloud:

    user                    a member of the document; `$.user` is the same
    a.b                     a member of a member
    a["odd.name"]           a member whose name has dots, spaces, brackets or quotes in it
    messages[0].content     an item, counted from 0
    messages[*].content     every item, or every member: `*` stands for both
    **.content              at any depth, this one included; `..content` is the same
    $                       the whole document

All else that JSONPath has (slices, filters, unions, counting from the end) is refused rather than
taken for something it is not: a person who writes a wrong path must be told so at once, and not
find out from what was kept.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

REDACTED: Final = "[redacted]"


class Wild(enum.Enum):
    """Steps that are no name and no index."""

    EACH = "*"
    DEEP = "**"


Step = str | int | Wild


class JsonPath(msgspec.Struct, frozen=True):
    """The `steps` from the document to what is meant; none: the document itself."""

    text: str
    steps: tuple[Step, ...]


_NAME: Final = re.compile(r"""[^.\[\]*?@()'",:\s]+""")
_QUOTED: Final = re.compile(r"""\[\s*(?:"([^"\\]+)"|'([^'\\]+)')\s*\]""")
_INDEX: Final = re.compile(r"\[\s*(\*|[0-9]{1,9})\s*\]")
_BRACKET: Final = re.compile(r"\[[^\]]*\]?")


def parse_path(text: str) -> JsonPath:
    """Read a path. Raises ValueError with what is wrong, for a person to read."""
    if not text.strip():
        raise ValueError("the path is empty; write `$` for the whole document")
    steps: list[Step] = []
    at = 0
    if text[0] == "$":
        # A member whose name begins so is `$.$name`.
        at = 1
    elif text[0] not in ".[":
        # A first name stands without its dot.
        steps, at = _after_dot(text, 0, steps)
    while at < len(text):
        if text[at] == "[":
            at = _bracket(text, at, steps)
        elif text.startswith("..", at):
            steps.append(Wild.DEEP)
            at += 2
            if text[at : at + 1] != "[":
                steps, at = _after_dot(text, at, steps)
        elif text[at] == ".":
            steps, at = _after_dot(text, at + 1, steps)
        else:
            raise ValueError(f"{text!r}: expected '.' or '[' at {text[at:]!r}")
    _check(text, steps)
    return JsonPath(text, tuple(steps))


def _after_dot(text: str, at: int, steps: list[Step]) -> tuple[list[Step], int]:
    for wild in (Wild.DEEP, Wild.EACH):
        if text.startswith(wild.value, at):
            return [*steps, wild], at + len(wild.value)
    match = _NAME.match(text, at)
    if match is None:
        found = f"at {text[at:]!r}" if at < len(text) else "at the end"
        raise ValueError(f"{text!r}: expected a name or `*` {found}")
    return [*steps, match[0]], match.end()


def _bracket(text: str, at: int, steps: list[Step]) -> int:
    if match := _INDEX.match(text, at):
        steps.append(Wild.EACH if match[1] == "*" else int(match[1]))
    elif match := _QUOTED.match(text, at):
        steps.append(match[1] or match[2])
    else:
        match = _BRACKET.match(text, at)
        assert match is not None
        raise ValueError(
            f"{text!r}: {match[0]} is not understood; a bracket holds an index such as [0],"
            ' [*], or a name in quotes such as ["a.b"]'
        )
    return match.end()


def _check(text: str, steps: list[Step]) -> None:
    if steps and steps[-1] is Wild.DEEP:
        raise ValueError(f"{text!r}: nothing follows `**`; say what is meant at any depth")
    if steps.count(Wild.DEEP) > 1:
        # Each further one multiplies the work by the document's depth, which callers choose.
        raise ValueError(f"{text!r}: `**` or `..` may stand in a path once")


def redact(document: Any, path: JsonPath) -> tuple[Any, int]:
    """Put `REDACTED` at each place that `path` names; return the document and how many.

    The document is changed in place. Raises RecursionError for one that is nested too deeply.
    """
    if not path.steps:
        return REDACTED, 1
    return document, _redact(document, path.steps, 0)


def _redact(node: Any, steps: tuple[Step, ...], at: int) -> int:
    if not isinstance(node, dict | list):
        return 0
    step = steps[at]
    if step is Wild.DEEP:
        # The outer places first: what is gone already need not be looked through.
        count = _redact(node, steps, at + 1)
        return count + sum([_redact(child, steps, at) for _, child in _children(node)])
    count = 0
    for key, child in _chosen(node, step):
        if at + 1 < len(steps):
            count += _redact(child, steps, at + 1)
        else:
            node[key] = REDACTED
            count += 1
    return count


def _children(node: dict[str, Any] | list[Any]) -> Iterator[tuple[Any, Any]]:
    return iter(list(node.items())) if isinstance(node, dict) else enumerate(node)


def _chosen(node: dict[str, Any] | list[Any], step: Step) -> Iterator[tuple[Any, Any]]:
    if step is Wild.EACH:
        yield from _children(node)
    elif isinstance(node, dict):
        if isinstance(step, str) and step in node:
            yield step, node[step]
    elif isinstance(step, int) and step < len(node):
        yield step, node[step]
