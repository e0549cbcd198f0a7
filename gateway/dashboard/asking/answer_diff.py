"""Two answers beside each other: which lines differ, and within those which words.

What is compared is bounded, since the time for it grows with the square of what differs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Final

import msgspec

from ...core.dialects.conversation import Conversation, Part, PartKind

# Of each answer. Beyond, the rest is left out, and the page says so.
MOST_LINES: Final = 4000
MOST_TEXT: Final = 400_000
# Of the words of lines that differ; more are shown as whole lines.
_MOST_WORDS: Final = 3000
# Lines around a difference that are shown; what is equal for longer is folded.
_AROUND: Final = 3
_WORD: Final = re.compile(r"\s+|\w+|[^\w\s]")
_TITLES: Final = {
    PartKind.REASONING: "reasoning",
    PartKind.REFUSAL: "refusal",
    PartKind.TOOL_CALL: "calls",
}


class Words(msgspec.Struct, frozen=True):
    """A piece of a line; `changed` if the other answer has something else in its place."""

    text: str
    changed: bool = False


class DiffLine(msgspec.Struct, frozen=True):
    """`kind` is "same", "old" or "new"."""

    kind: str
    words: list[Words]


class DiffBlock(msgspec.Struct, frozen=True):
    """Lines that belong together; `folded` ones are equal, and far from any difference."""

    lines: list[DiffLine]
    folded: bool = False


class AnswerDiff(msgspec.Struct, frozen=True, kw_only=True):
    """`removed` and `added` count lines; `cut` says that not all was compared."""

    blocks: list[DiffBlock]
    removed: int
    added: int
    cut: bool

    @property
    def same(self) -> bool:
        return not (self.removed or self.added)


def answer_text(conversation: Conversation) -> str:
    """Return an answer as text: what is no text of the model's own begins with its kind."""
    found = []
    for number, turn in enumerate(conversation.answers):
        if len(conversation.answers) > 1:
            found.append(f"[answer {number + 1}]")
        found += [_part(each) for each in turn.parts]
    return "\n".join(found)


def _part(part: Part) -> str:
    if part.kind is PartKind.TEXT:
        return part.text
    head = f"[{_TITLES.get(part.kind, part.kind.value)}{f' {part.title}' if part.title else ''}]"
    return f"{head}\n{part.text}" if part.text else head


def diff(old: str, new: str) -> AnswerDiff:
    """Compare two answers. May take a second: it is for a thread."""
    before, after = _lines(old), _lines(new)
    cut = any(len(text) > MOST_TEXT or len(lines) > MOST_LINES
              for text, lines in ((old, before), (new, after)))  # fmt: skip
    before, after = before[:MOST_LINES], after[:MOST_LINES]
    lines = [*_compared(before, after)]
    return AnswerDiff(
        blocks=[*_blocks(lines)],
        removed=sum(each.kind == "old" for each in lines),
        added=sum(each.kind == "new" for each in lines),
        cut=cut,
    )


def _lines(text: str) -> list[str]:
    return text[:MOST_TEXT].splitlines()


def _compared(before: Sequence[str], after: Sequence[str]) -> Iterator[DiffLine]:
    matcher = SequenceMatcher(None, before, after)
    for what, start, end, other_start, other_end in matcher.get_opcodes():
        if what == "equal":
            for line in before[start:end]:
                yield DiffLine("same", [Words(line)])
            continue
        old, new = _by_words(before[start:end], after[other_start:other_end])
        yield from (DiffLine("old", words) for words in old)
        yield from (DiffLine("new", words) for words in new)


def _by_words(
    old: Sequence[str], new: Sequence[str]
) -> tuple[list[list[Words]], list[list[Words]]]:
    """Return the lines of both with the words that differ marked; none where all do."""
    before = [word for line in old for word in (*_WORD.findall(line), "\n")]
    after = [word for line in new for word in (*_WORD.findall(line), "\n")]
    if not (old and new) or max(len(before), len(after)) > _MOST_WORDS:
        return [[Words(line)] for line in old], [[Words(line)] for line in new]
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    codes = matcher.get_opcodes()
    return (
        _marked([(what != "equal", before[start:end]) for what, start, end, _, _ in codes]),
        _marked([(what != "equal", after[start:end]) for what, _, _, start, end in codes]),
    )


def _marked(pieces: Sequence[tuple[bool, Sequence[str]]]) -> list[list[Words]]:
    lines: list[list[Words]] = [[]]
    for changed, words in pieces:
        text = ""
        for word in words:
            if word != "\n":
                text += word
                continue
            if text:
                lines[-1].append(Words(text, changed))
            text = ""
            lines.append([])
        if text:
            lines[-1].append(Words(text, changed))
    return lines[:-1]


def _blocks(lines: Sequence[DiffLine]) -> Iterator[DiffBlock]:
    """Fold what is equal and far from any difference."""
    near = [False] * len(lines)
    for at, line in enumerate(lines):
        if line.kind != "same":
            for place in range(max(0, at - _AROUND), min(len(lines), at + _AROUND + 1)):
                near[place] = True
    start = 0
    for at in range(1, len(lines) + 1):
        if at == len(lines) or near[at] != near[start]:
            # A fold of a line or two would hide nothing.
            folded = not near[start] and at - start > _AROUND
            yield DiffBlock([*lines[start:at]], folded)
            start = at
