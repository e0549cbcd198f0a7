from __future__ import annotations

import string
import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.wire.member_names import _IGNORED as IGNORED
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


# All that is taken for a letter, or for nothing, and what may follow one.
TRICKS = (
    "model\u0301\u0308\u200b\ufe0f\uff4d\u212a\u017f\ufb01"
    "\u1d40\u00e9\ufdfa\u2100\U000e0041_-. \0aws"
)


@given(st.text(st.sampled_from(TRICKS) | st.characters(), max_size=64))
@example("model\u0301")
@example("\ufdfa" * 64)
def test_letter_by_letter_misses_nothing(name: str) -> None:
    names = {"model": "model", "stream": "stream", "maxtokens": "max_tokens", "n": "n"}
    seen = name.lstrip("\0").partition("\0")[0] if "\0" in name else name
    like = IGNORED.sub("", unicodedata.normalize("NFKC", seen)).casefold()
    # Whoever combines letters sees another beginning at most at their end.
    begins = like.startswith("aws") or folded(name).startswith("aws")
    assert TABLE[name] == names.get(like, name if begins else None)


@pytest.mark.measured
def test_the_work_for_a_name_is_bounded() -> None:
    """4,096 names, each of what NFKC makes longest: 0.8 MB, which took half a second and more."""
    names = ["\ufdfa" * 60 + str(number) for number in range(4096)]
    names += [chr(0x4E00 + number) * 64 for number in range(4096)]
    began = time.thread_time()
    for name in names:
        assert TABLE[name] is None
    assert time.thread_time() - began < 0.2


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
