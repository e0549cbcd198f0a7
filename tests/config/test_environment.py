from __future__ import annotations

import pytest

from gateway.config.environment import MissingVariable, StandIns, expand, only_unset

ENVIRON = {"A": "1", "B": "${A}", "EMPTY": "", "_x9": "y"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("${A}", "1"),
        ("x${A}y${_x9}z", "x1yyz"),
        # What a variable holds is not read again.
        ("${B}", "${A}"),
        ("${A:-2}", "1"),
        ("${NONE:-2}", "2"),
        ("${NONE:-}", ""),
        ("${EMPTY:-2}", "2"),
        ("${NONE:-a:-b $c}", "a:-b $c"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$A", "$A"),
        ("$", "$"),
        ("{A}", "{A}"),
        (7, 7),
        (True, True),
        (["${A}", {"k": "${A}"}], ["1", {"k": "1"}]),
        ({"${A}": "${A}"}, {"${A}": "1"}),
    ],
)
def test_expand(value: object, expected: object) -> None:
    assert expand(value, ENVIRON) == expected


@pytest.mark.parametrize("value", ["${NONE}", "${EMPTY}", ["x", {"k": "a${NONE}"}]])
def test_missing(value: object) -> None:
    with pytest.raises(MissingVariable, match=r"the environment variable (NONE|EMPTY) is not set"):
        expand(value, ENVIRON)


@pytest.mark.parametrize("value", ["${}", "${1A}", "${A", "${A-b}", "${A:b}", "${a b}", "${"])
def test_malformed(value: str) -> None:
    with pytest.raises(MissingVariable, match="does not begin a reference") as caught:
        expand(value, ENVIRON)
    # What stands there may be a secret.
    assert "a b" not in str(caught.value)


def test_what_is_unset_can_be_told_from_other_faults() -> None:
    with pytest.raises(MissingVariable) as unset:
        expand("${NOT_THERE}", {})
    with pytest.raises(MissingVariable) as malformed:
        expand("${", {})
    fault = f"config.toml: [providers.p] api_key: {unset.value}"
    assert only_unset([fault])
    assert not only_unset([fault, str(malformed.value)])


def test_stand_ins_are_there_for_what_is_unset() -> None:
    environ = StandIns({"A": "1", "EMPTY": ""})
    assert expand("${A} ${B} ${EMPTY}", environ) == "1 unset:B unset:EMPTY"
    assert (list(environ), len(environ)) == (["A", "EMPTY"], 2)
