"""Codes and words that mean something with one provider alone, before those of its kind."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

import msgspec

from ...core.routing.causes import Cause
from ...core.routing.refusals import Mark, RefusalTable
from ..words.causes import AUTH, LIMITED, OF_REQUEST, REJECTED
from .settings import NO_QUIRKS, Quirks

_ANY: Final = OF_REQUEST | AUTH | LIMITED
# What the status of a refusal must mean for its words to be looked at: those of the account and of
# limits may come with any, those about a request not with 401 or 429.
_INSTEAD_OF: Final = {
    Cause.CONTEXT_LENGTH: OF_REQUEST,
    Cause.CONTENT_POLICY: OF_REQUEST | AUTH,
    Cause.UNSUPPORTED: OF_REQUEST,
    Cause.REQUEST_TOO_LARGE: REJECTED | LIMITED,
}


def with_quirks(table: RefusalTable, quirks: Quirks) -> RefusalTable:
    """Return `table` with what `quirks` know of this provider, which goes before all else."""
    if quirks is NO_QUIRKS or not (quirks.codes or quirks.words):
        return table
    marks = (*_marks(quirks), *table.marks)
    return msgspec.structs.replace(table, marks=marks)


def _marks(quirks: Quirks) -> Iterator[Mark]:
    for name in dict.fromkeys((*quirks.codes, *quirks.words)):
        cause = Cause(name)
        words = quirks.words.get(name, ())
        yield Mark(
            cause,
            _INSTEAD_OF.get(cause, _ANY) - {cause},
            codes=frozenset(code.lower() for code in quirks.codes.get(name, ())),
            words=_any_of(words).search if words else None,
        )


def _any_of(words: Collection[str]) -> re.Pattern[str]:
    # Texts, not patterns: what stands in a configuration cannot keep a request waiting.
    return re.compile("|".join(rf"(?<!\w){re.escape(each)}(?!\w)" for each in words), re.IGNORECASE)
