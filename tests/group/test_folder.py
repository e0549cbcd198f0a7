"""Which process has which place, from its environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.group.folder import VARIABLE, Membership, membership


def test_a_worker_knows_its_place() -> None:
    environment = {VARIABLE: "/run/g", "N": "1", "ALL": "3"}
    found = membership(environment, "N", "ALL")
    assert found == Membership(Path("/run/g"), 1, 3)
    assert found is not None
    assert found.others == (0, 2)
    assert str(found.own) == "/run/g/1.sock"


@pytest.mark.parametrize(
    "environment",
    [{}, {VARIABLE: "/g"}, {VARIABLE: "/g", "N": "0", "ALL": "1"},
     {VARIABLE: "/g", "N": "", "ALL": "2"}, {VARIABLE: "", "N": "0", "ALL": "2"}],
)  # fmt: skip
def test_a_process_without_a_place_is_alone(environment: dict[str, str]) -> None:
    assert membership(environment, "N", "ALL") is None
