"""What has become of a connection, in words; its tasks put that into groups."""

from __future__ import annotations


def first_of(exc: BaseException) -> BaseException:
    """Return the first failure of a group, of whatever depth; `exc` itself if it is none."""
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    return exc


def said(exc: BaseException) -> str:
    """Return what `exc` says, and what is behind it."""
    text = str(exc) or type(exc).__name__
    if exc.__cause__ is None:
        return text
    # Trio puts what became of each of a host's addresses into a group.
    cause = first_of(exc.__cause__)
    return f"{text}: {str(cause) or type(cause).__name__}"
