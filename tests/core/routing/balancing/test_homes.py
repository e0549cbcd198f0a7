from __future__ import annotations

from gateway.core.routing.balancing.homes import AnswerHomes, Home


def home(number: int) -> Home:
    return Home(b"caller", f"provider/{number}", "m")


def test_what_is_kept_is_found_until_it_is_forgotten() -> None:
    homes = AnswerHomes()
    assert homes.find("resp_1") is None
    homes.keep("resp_1", home(1))
    homes.keep("resp_\ud83d", home(2))
    assert homes.find("resp_1") == home(1)
    assert homes.find("resp_\ud83d") == home(2)
    homes.keep("resp_1", home(3))
    assert (homes.find("resp_1"), len(homes)) == (home(3), 2)
    homes.forget("resp_1")
    homes.forget("resp_1")
    assert (homes.find("resp_1"), len(homes)) == (None, 1)


def test_only_so_many_are_remembered_and_those_in_use() -> None:
    homes = AnswerHomes(most=10)
    for number in range(100):
        homes.keep(f"resp_{number}", home(number))
        assert homes.find("resp_0") is not None
    assert len(homes) == 10
    assert homes.find("resp_50") is None
    assert homes.find("resp_99") == home(99)
