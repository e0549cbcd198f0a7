"""Parts that are looked for in lists of parts."""

from __future__ import annotations

import msgspec
import pytest

from gateway.core.dialects.needs import fields_of, find_parts, type_of

KINDS = {"image": "images", "file": "documents"}


def find(text: bytes) -> dict[str, str]:
    return find_parts([("a", msgspec.Raw(text))], KINDS)


def test_the_first_of_each_kind_counts() -> None:
    assert find(b'[{"type":"image"},{"type":"image"},{"type":"file"}]') == {
        "images": "a.0",
        "documents": "a.2",
    }


def test_parts_inside_of_parts_are_found_up_to_a_depth() -> None:
    assert find(b'[{"type":"x","content":[{"type":"image"}]}]') == {"images": "a.0.content.0"}
    deep = b'{"type":"image"}'
    for _ in range(500):
        deep = b'{"type":"x","content":[%b]}' % deep
    assert find(b"[%b]" % deep) == {}


@pytest.mark.parametrize(
    "raw", [b"null", b'"image"', b"{}", b"[1]", b'[{"type":1}]', b"[[]]", b"[" * 2000]
)
def test_what_is_no_list_of_parts_has_none(raw: bytes) -> None:
    assert find(raw) == {}
    assert type_of(raw) == ""
    assert fields_of(raw) == {}
