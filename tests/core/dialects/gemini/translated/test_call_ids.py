from __future__ import annotations

from gateway.core.dialects.gemini.translated.call_ids import CallIds, is_made


def test_calls_without_ids_are_found_by_name_and_order() -> None:
    ids = CallIds()
    first, second, other = ids.call("", "f"), ids.call("", "f"), ids.call("", "g")
    assert len({first, second, other}) == 3
    assert all(is_made(each) for each in (first, second, other))
    assert ids.response("", "g") == other
    assert ids.response("", "f") == first
    assert ids.response("", "f") == second
    # To nothing that was called.
    assert is_made(ids.response("", "f"))


def test_ids_go_before_names() -> None:
    ids = CallIds()
    assert ids.call("toolu_1", "f") == "toolu_1"
    assert ids.call("toolu_2", "f") == "toolu_2"
    assert ids.response("toolu_2", "other") == "toolu_2"
    # A client that has left it out.
    assert ids.response("", "f") == "toolu_1"
    assert ids.response("unknown", "f") == "unknown"
    assert not is_made("toolu_1")
