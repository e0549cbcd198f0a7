from __future__ import annotations

from pathlib import Path

import pytest

from gateway.providers.facts.book import BookHead, written
from gateway.providers.facts.current import NAME, bundled_book, current_book


def test_the_later_of_two_counts(tmp_path: Path) -> None:
    own = bundled_book()
    assert current_book(None) is own
    assert current_book(tmp_path) is own
    for made, later in (("2999-01-01", True), ("2000-01-01", False), (own.head.made, True)):
        head = BookHead(source="mine", version="1", made=made, licence="none")
        (tmp_path / NAME).write_bytes(written(head, {}))
        assert (current_book(tmp_path).label == "mine 1") is later
    (tmp_path / NAME).write_bytes(b"{}")
    with pytest.raises(ValueError, match=r"models\.json"):
        current_book(tmp_path)
