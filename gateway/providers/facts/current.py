"""The book that a gateway goes by: that of the package, or one that an operator has put in place.

`gateway prices update` writes `models.json` into the state folder. It counts until the package
brings later data, so that an update of the gateway is not undone by an older file.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

from .book import ModelBook, read_book

BUNDLED: Final = Path(__file__).parents[1] / "models.json"
NAME: Final = "models.json"


@lru_cache(maxsize=1)
def bundled_book() -> ModelBook:
    """Return the book of the package; read when it is first needed, in some ten milliseconds."""
    return read_book(BUNDLED.read_bytes())


def current_book(folder: Path | None) -> ModelBook:
    """Return the book for a gateway whose state is in `folder`.

    Raises ValueError and OSError for a file there that cannot be used.
    """
    own = bundled_book()
    file = None if folder is None else folder / NAME
    if file is None or not file.exists():
        return own
    placed = read_book(file.read_bytes())
    return placed if placed.head.made >= own.head.made else own
