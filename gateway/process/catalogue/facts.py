"""The data on models that a process goes by, read at its start and at each reload."""

from __future__ import annotations

from pathlib import Path

import structlog

from ...providers.facts.book import ModelBook
from ...providers.facts.current import NAME, bundled_book, current_book

_log = structlog.get_logger(__name__)


def read_facts(folder: Path | None) -> ModelBook:
    """Return the book for a gateway whose state is in `folder`.

    A file there that cannot be used is not the end of a gateway: it goes by its own data, and says
    so.
    """
    try:
        return current_book(folder)
    except (OSError, ValueError) as exc:
        _log.warning(
            "prices and limits of models are those of the package",
            file=str((folder or Path()) / NAME),
            error=str(exc),
        )
        return bundled_book()
