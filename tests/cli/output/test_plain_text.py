from __future__ import annotations

import json

import pytest

from gateway.cli.output.plain_text import printable, printable_json, printable_line

UNSAFE = [
    *range(9),
    *range(0x0B, 0x20),
    *range(0x7F, 0xA0),
    0x200E,
    0x202E,
    0x2028,
    0xFEFF,
    0xE0041,
]


@pytest.mark.parametrize("code", UNSAFE)
def test_nothing_that_a_terminal_obeys_is_left(code: int) -> None:
    char = chr(code)
    for shown in (printable(f"a{char}b"), printable_line(f"a{char}b")):
        assert char not in shown
        assert shown.startswith("a\\")
        assert shown.endswith("b")
    text = printable_json(json.dumps({"a": char}, ensure_ascii=False))
    assert char not in text
    assert json.loads(text) == {"a": char}


def test_text_stays() -> None:
    text = "Zoë, жираф, 日本, 😀, tab\tand [red]brackets[/red]\n"
    assert printable(text) == text
    assert printable_json(text) == text
    assert printable_line(text) == text.replace("\n", "\\n")


def test_lone_surrogates_can_be_printed() -> None:
    assert printable("\ud800").encode() == b"\\ud800"
    assert json.loads(printable_json('"\ud800"')) == "\ud800"


def test_how_it_is_written() -> None:
    assert printable("\x1b[31m\u202e\U000e0041") == "\\x1b[31m\\u202e\\U000e0041"
    assert printable_json("\x1b\U000e0041") == "\\u001b\\udb40\\udc41"
