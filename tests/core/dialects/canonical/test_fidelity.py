from __future__ import annotations

import pytest

from gateway.core.dialects.canonical.fidelity import MOST_LISTED, Fidelity, Untranslatable


def test_hints_are_listed_once_and_demands_are_refused() -> None:
    found = Fidelity(drop=False)
    for _ in range(2):
        found.hint("seed")
    with pytest.raises(Untranslatable, match="n: too many") as caught:
        found.demand("n", "too many")
    assert (found.dropped, caught.value.member) == (("seed",), "n")


def test_demands_can_be_dropped() -> None:
    found = Fidelity(drop=True)
    found.demand("n", "too many")
    assert found.dropped == ("n",)


def test_what_is_listed_fits_into_a_header() -> None:
    found = Fidelity(drop=True)
    found.hint('a\r\nx: "y", z\u00e9')
    for number in range(100):
        found.hint(f"m{number}")
    assert found.dropped[0] == 'a??x: "y"? z?'
    assert len(found.dropped) == MOST_LISTED
