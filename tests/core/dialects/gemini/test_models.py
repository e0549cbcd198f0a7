from __future__ import annotations

import json

import pytest

from gateway.core.dialects.base import ModelEntry
from gateway.core.dialects.gemini.models import model_entry, model_list
from gateway.errors import InvalidRequest

ENTRIES = [ModelEntry(f"m{number}", 1, "p") for number in range(5)]


def names(query: str) -> list[str]:
    return [each["name"] for each in json.loads(model_list(ENTRIES, query))["models"]]


def test_pages() -> None:
    assert names("") == [f"models/m{number}" for number in range(5)]
    first = json.loads(model_list(ENTRIES, "pageSize=2&key=x"))
    assert [each["name"] for each in first["models"]] == ["models/m0", "models/m1"]
    token = first["nextPageToken"]
    assert names(f"pageSize=3&pageToken={token}") == ["models/m2", "models/m3", "models/m4"]
    last = json.loads(model_list(ENTRIES, "page_size=3&page_token=2"))
    assert "nextPageToken" not in last
    assert names("pageToken=99") == []
    assert names("pageSize=0") == names("pageSize=99999")


@pytest.mark.parametrize("query", ["pageToken=x", "pageSize=-1", "pageToken=999999999999"])
def test_pages_that_there_cannot_be(query: str) -> None:
    with pytest.raises(InvalidRequest):
        model_list(ENTRIES, query)


def test_an_entry() -> None:
    found = json.loads(model_entry(ModelEntry("org/m", 1, "p")))
    assert (found["name"], found["displayName"]) == ("models/org/m", "org/m")
    assert "generateContent" in found["supportedGenerationMethods"]
    tuned = json.loads(model_entry(ModelEntry("tunedModels/m", 1, "p")))
    assert tuned["name"] == "tunedModels/m"
