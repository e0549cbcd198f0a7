from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.dialects.canonical.opaque import restored_id, shown_id, tagged, untagged


@given(st.text())
def test_ids_come_back(id: str) -> None:
    shown = shown_id(id)
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", shown)
    assert restored_id(shown) == id


@given(st.text())
def test_other_ids_stay(id: str) -> None:
    # Whatever a caller made up itself is restored to nothing else than what shows as it.
    assert restored_id(id) == id or shown_id(restored_id(id)) == id


def test_plain_ids_are_shown_as_they_are() -> None:
    assert shown_id("toolu_01A-b") == "toolu_01A-b"
    assert shown_id("functions.weather:0") == "gwid_ZnVuY3Rpb25zLndlYXRoZXI6MA"


@given(st.from_regex(r"[a-z_]+(/[a-z0-9]+)?", fullmatch=True), st.text())
def test_signatures_come_back(family: str, signature: str) -> None:
    assert untagged(tagged(family, signature)) == (family, signature)


def test_what_has_no_tag_has_no_family() -> None:
    assert untagged("EqQBCg") == ("", "EqQBCg")
