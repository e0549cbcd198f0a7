from __future__ import annotations

import json

import pytest

from gateway.core.dialects.anthropic_messages.models import model_entry, model_list
from gateway.core.dialects.base import ModelEntry
from gateway.errors import InvalidRequest

ENTRIES = [ModelEntry(f"claude-{number}", 1_700_000_000, "p") for number in range(30)]


def page(query: str) -> tuple[list[str], bool]:
    found = json.loads(model_list(ENTRIES, query))
    names = [each["id"] for each in found["data"]]
    assert found["first_id"] == (names[0] if names else None)
    assert found["last_id"] == (names[-1] if names else None)
    return [name.removeprefix("claude-") for name in names], found["has_more"]


def test_pages() -> None:
    assert page("") == ([str(n) for n in range(20)], True)
    assert page("limit=1000") == ([str(n) for n in range(30)], False)
    assert page("limit=2&after_id=claude-3") == (["4", "5"], True)
    assert page("limit=5&after_id=claude-26") == (["27", "28", "29"], False)
    assert page("after_id=claude-29") == ([], False)
    assert page("limit=2&before_id=claude-3") == (["1", "2"], True)
    assert page("limit=9&before_id=claude-3") == (["0", "1", "2"], False)


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "after_id=nope"])
def test_pages_that_there_cannot_be(query: str) -> None:
    with pytest.raises(InvalidRequest):
        page(query)


def test_an_entry() -> None:
    assert json.loads(model_entry(ENTRIES[0])) == {
        "type": "model",
        "id": "claude-0",
        "display_name": "claude-0",
        "created_at": "2023-11-14T22:13:20Z",
        "lifecycle": "active",
    }
