from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.wire.member_names import NameTable, folded

TABLE = NameTable(("model", "stream", "max_tokens", "n"), ("aws_",))


@pytest.mark.parametrize(
    ("name", "taken_for"),
    [
        ("model", "model"),
        ("Model", "model"),
        ("MODEL", "model"),
        ("\uff4dodel", "model"),
        ("\uff2d\uff2f\uff24\uff25\uff2c", "model"),
        ("model\0", "model"),
        ("model\0, of which a reader in C sees the beginning", "model"),
        ("\0model", "model"),
        ("model ", "model"),
        (" model", "model"),
        ("model\t", "model"),
        ("model\n", "model"),
        ("model\xa0", "model"),
        ("model\u2028", "model"),
        ("mo\u200bdel", "model"),
        ("mo\xaddel", "model"),
        ("\ufeffmodel", "model"),
        ("model\ufe0f", "model"),
        ("model\x7f", "model"),
        ("model\x9f", "model"),
        ("model\ud800", "model"),
        ("model\U000e0041", "model"),
        ("model" + "\u200b" * 500, "model"),
        ("\u017ftream", "stream"),
        ("maxTokens", "max_tokens"),
        ("max-tokens", "max_tokens"),
        ("max.tokens", "max_tokens"),
        ("MaxTokens", "max_tokens"),
        ("\uff2e", "n"),
        ("aws_region", "aws_region"),
        ("AwsRegion", "AwsRegion"),
        ("models", None),
        ("n\u5024", None),
        ("\xf1n", None),
        ("m\u043edel", None),
        ("m\u0301odel", None),
        ("modelx", None),
        ("", None),
        ("\0", None),
        ("x" * 10_000 + "model", None),
    ],
)
def test_what_a_name_is_taken_for(name: str, taken_for: str | None) -> None:
    # The second time it is remembered.
    assert [TABLE[name], TABLE[name]] == [taken_for, taken_for]


@given(st.text())
def test_the_quick_look_misses_nothing(name: str) -> None:
    meant = {folded(each): each for each in ("model", "stream", "max_tokens", "n")}
    like = folded(name)
    assert TABLE[name] == meant.get(like, name if like.startswith("aws") else None)


@given(st.text(string.ascii_letters + "_", min_size=1))
def test_a_name_means_itself(name: str) -> None:
    assert NameTable((name,))[name] == name


def test_what_is_remembered_is_bounded() -> None:
    table = NameTable(("model",))
    for number in range(5000):
        assert table[f"name{number}"] is None
        assert table["x" * 10_000 + str(number)] is None
    assert len(table) <= 1024
    assert max(map(len, table)) <= 64
