from __future__ import annotations

import re
import tomllib
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.tokens.text import with_entry, without_entry

A: Final = '[[tokens]]\nname = "a"\n'
B: Final = '[[tokens]]\nname = "b"\n'
C: Final = '[[tokens]]\nname = "c"\n'
ABC: Final = f"{A}\n{B}\n{C}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", A),
        ("# mine\n", f"# mine\n\n{A}"),
        ("# mine", f"# mine\n\n{A}"),
        (B, f"{B}\n{A}"),
        (f"{B}\n\n\n", f"{B}\n\n\n\n{A}"),
        ('[[tokens]]\r\nname = "b"\r\n', f'[[tokens]]\r\nname = "b"\r\n\n{A}'),
    ],
)
def test_an_entry_is_added_after_all_that_is_there(text: str, expected: str) -> None:
    found = with_entry(text, A)
    assert found == expected
    assert found.startswith(text)


@pytest.mark.parametrize(
    ("text", "number", "expected"),
    [
        # The gap that stays is the one above, or none at the end.
        (ABC, 0, f"{B}\n{C}"),
        (ABC, 1, f"{A}\n{C}"),
        (ABC, 2, f"{A}\n{B}"),
        (A, 0, ""),
        (f"# mine\n\n{A}", 0, "# mine\n"),
        (f"{A}{B}{C}", 1, f"{A}{C}"),
        (f"{A}\n\n\n{B}\n\n\n", 0, f"{B}\n\n\n"),
        (ABC.rstrip("\n"), 2, f"{A}\n{B}"),
        # Comments directly above another entry, and those in a paragraph of their own, stay...
        (f"{A}\n# of b\n# too\n{B}", 0, f"# of b\n# too\n{B}"),
        (f"{A}# of b\n{B}", 0, f"# of b\n{B}"),
        (f"{A}\n# of nobody\n\n{B}", 0, f"# of nobody\n\n{B}"),
        (f"{A}\n# the last word\n", 0, "# the last word\n"),
        # ...so does one above the entry itself, which is not part of it.
        (f"# of a\n{A}\n{B}", 0, f"# of a\n{B}"),
        # What belongs to it goes.
        (f"{A}# rpm = 1\n\n# of b\n{B}", 0, f"# of b\n{B}"),
        (f"{A}# rpm = 1\n", 0, ""),
        (f"{A}# why\n\nrpm = 1  # few\n\n{B}", 0, B),
        (f"{A}\n[tokens.budget]\nusd = 1\n\n{B}", 0, B),
        (f"{B}\n{A}[ tokens . 'budget' ] # x\nusd = 1\n", 1, B),
        # What only looks like a header, a comment or an end is none.
        (f'{A}key = """\n[[tokens]]\n# x\n"""\n{B}', 0, B),
        (f"{A}key = '''\n[[tokens]]\n''''' # x\n{B}", 0, B),
        (f'{A}key = """\\"""\n[[tokens]]"""""\n{B}', 0, B),
        (f'{A}key = "\\"[["\n{B}', 0, B),
        (f"{A}key = '\\'\n{B}", 0, B),
        (f'{A}models = [\n  "[[tokens]]", # ]\n  # ]\n  "x",\n]\n{B}', 0, B),
        (f"{A}budget = {{ usd = 1 }}\n{B}", 0, B),
        (f"{A}# it's [\n\n{B}", 0, B),
        # However a header is written.
        (f'{A}[["tokens"]]  # the second\nname = "b"\n', 1, A),
        (f'{A}  [[ tokens ]]\n\tname = "b"\n', 1, A),
        ('[[tokens]]\r\nname = "a"\r\n\r\n# of b\r\n[[tokens]]\r\n', 0, "# of b\r\n[[tokens]]\r\n"),
        (f"{A}[other]\nx = 1\n", 0, "[other]\nx = 1\n"),
        (f"{A}[[other.tokens]]\nx = 1\n", 0, "[[other.tokens]]\nx = 1\n"),
    ],
)
def test_an_entry_is_cut_out(text: str, number: int, expected: str) -> None:
    old = tomllib.loads(text)
    found = without_entry(text, number)
    assert found == expected
    del old["tokens"][number]
    assert {"tokens": [], **tomllib.loads(found)} == old


@pytest.mark.parametrize(
    ("text", "number"), [("", 0), (A, 1), ('tokens = [{ name = "a" }]\n', 0), ("# [[tokens]]\n", 0)]
)
def test_an_entry_that_has_no_header_is_not_cut_out(text: str, number: int) -> None:
    assert without_entry(text, number) is None


VALUES: Final = (
    '"plain"',
    '"a # \\" [["',
    "'lit [ # '",
    '"""x\n[[tokens]]\n# no comment\n"" y"""',
    "'''\n[tokens]\n'''",
    '[\n  "a", # one\n  "]",\n]',
    '{ a = [1, 2], b = "}" }',
    "2027-01-01T00:00:00Z",
    "-1.5e3",
)
GAPS: Final = ("", "\n", "\n\n", " \n")


@st.composite
def files(draw: st.DrawFn) -> list[str]:
    """Return the texts of entries, each with the comments directly above it."""
    found = []
    for number in range(draw(st.integers(1, 5))):
        comments = "".join(f"# of {number}\n" for _ in range(draw(st.integers(0, 2))))
        keys = "".join(
            f"k{at} = {draw(st.sampled_from(VALUES))}{draw(st.sampled_from(['', '  # why']))}\n"
            f"{draw(st.sampled_from(GAPS))}"
            for at in range(draw(st.integers(0, 3)))
        )
        inner = draw(st.sampled_from(["", "[tokens.budget]\nusd = 1\n", "[[tokens.x]]\n"]))
        gap = draw(st.sampled_from(GAPS))
        found.append(f"{comments}[[tokens]]\nname = {number}\n{keys}{inner}{gap}")
    return found


@given(files(), st.data())
def test_any_entry_can_be_cut_out_of_any_file(entries: list[str], data: st.DataObject) -> None:
    text = "".join(entries)
    number = data.draw(st.integers(0, len(entries) - 1))
    found = without_entry(text, number)
    assert found is not None
    expected = tomllib.loads(text)["tokens"]
    del expected[number]
    assert tomllib.loads(found).get("tokens", []) == expected
    for at, entry in enumerate(entries):
        if at != number:
            assert entry.strip() in found
    # Those above the entry that is gone stay, as all comments that are not within one do.
    assert len(re.findall("^# of", found, re.MULTILINE)) == text.count("# of")


@given(files())
def test_what_was_added_last_can_be_taken_back_to_the_byte(entries: list[str]) -> None:
    text = "".join(entries).rstrip() + "\n"
    assert without_entry(with_entry(text, A), len(entries)) == text
