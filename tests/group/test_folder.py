"""Which process has which place, from its environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.group.folder import VARIABLE, Membership, making_way, membership


def test_a_worker_knows_its_place() -> None:
    environment = {VARIABLE: "/run/g", "N": "1", "ALL": "3"}
    found = membership(environment, "N", "ALL")
    assert found == Membership(Path("/run/g"), 1, 3)
    assert found is not None
    assert found.others == (0, 2)
    assert str(found.own) == "/run/g/1.sock"


@pytest.mark.parametrize(
    "environment",
    [{}, {VARIABLE: "/g"}, {VARIABLE: "/g", "N": "0", "ALL": "0"},
     {VARIABLE: "/g", "N": "", "ALL": "2"}, {VARIABLE: "", "N": "0", "ALL": "2"}],
)  # fmt: skip
def test_a_process_without_a_place_is_alone(environment: dict[str, str]) -> None:
    assert membership(environment, "N", "ALL") is None


def test_a_worker_of_one_has_a_place() -> None:
    # Its successor is there as well for a while, and limits are its supervisor's.
    found = membership({VARIABLE: "/run/g", "N": "0", "ALL": "1"}, "N", "ALL")
    assert found is not None
    assert found.others == ()


def test_who_makes_way_is_asked_until_it_has_left(tmp_path: Path) -> None:
    sockets = [tmp_path / f"{number}.sock" for number in range(2)]
    for each in sockets:
        each.write_text(f"old {each.name}")
    (tmp_path / "limits.sock").touch()
    successor, sister = Membership(tmp_path, 0, 2), Membership(tmp_path, 1, 2)
    with making_way(tmp_path, 2, 0) as taken:
        assert (tmp_path / "2.sock").read_text() == "old 0.sock"
        sockets[0].write_text("new")
        assert (successor.others, sister.others) == ((1, 2), (0, 2))
        taken()
    assert sister.others == (0,)
    assert sockets[0].read_text() == "new"
    # It has removed its own.
    with making_way(tmp_path, 2, 0) as taken:
        taken()
        (tmp_path / "2.sock").unlink()


def test_who_makes_way_for_one_that_fails_gets_its_number_back(tmp_path: Path) -> None:
    own = tmp_path / "0.sock"
    own.write_text("old")
    with making_way(tmp_path, 1, 0):
        own.write_text("new, which can't serve")
    assert own.read_text() == "old"
    own.unlink()
    with making_way(tmp_path, 1, 0):
        assert Membership(tmp_path, 0, 1).others == ()
