"""Hashes of passwords: their parameters, and how many are made at once."""

from __future__ import annotations

import threading
import time

import argon2
import pytest
import trio
from structlog.testing import capture_logs

from gateway.admin.accounts import passwords
from gateway.admin.accounts.passwords import AT_ONCE, DECOY, PasswordHashes, hash_now, matches_now
from gateway.errors import Overloaded

pytestmark = pytest.mark.slow

PASSWORD = "correct horse battery"


@pytest.fixture
def cheap_hashes() -> None:
    """Not here: see `tests/admin/conftest.py`."""


def test_a_hash_matches_its_password_only() -> None:
    found = hash_now(PASSWORD)
    assert found.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PASSWORD not in found
    assert matches_now(PASSWORD, found)
    assert not matches_now(PASSWORD + "x", found)
    assert hash_now(PASSWORD) != found


def test_the_same_password_typed_on_another_keyboard() -> None:
    assert matches_now("caf\u00e9 au lait, please", hash_now("cafe\u0301 au lait, please"))
    # Half of a surrogate pair, which JSON can hold.
    assert matches_now("\ud800 long enough", hash_now("\ud800 long enough"))


def test_the_decoy_takes_as_long_as_a_users_hash() -> None:
    ours = argon2.extract_parameters(hash_now(PASSWORD))
    assert argon2.extract_parameters(DECOY) == ours


@pytest.mark.parametrize("broken", ["", "x", "$argon2id$v=19$m=19456,t=2,p=1$AAAA"])
def test_a_hash_that_cannot_be_read_matches_nothing(broken: str) -> None:
    with capture_logs() as lines:
        assert not matches_now(PASSWORD, broken)
    assert len(lines) == 1


async def test_without_a_user_nothing_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "matches_now", lambda _, expected: expected == DECOY)
    assert not await PasswordHashes().matches(PASSWORD, None)


async def test_few_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def slow(password: str) -> str:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1
        return password

    monkeypatch.setattr(passwords, "hash_now", slow)
    hashes = PasswordHashes()
    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(hashes.hash, str(number))
    assert most == AT_ONCE


async def test_too_many_are_turned_away_and_those_who_leave_make_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go = threading.Event()
    monkeypatch.setattr(passwords, "hash_now", lambda _: str(go.wait(10)))
    hashes = PasswordHashes()
    async with trio.open_nursery() as nursery:
        for number in range(AT_ONCE + passwords._WAITING):
            nursery.start_soon(hashes.hash, str(number))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(Overloaded):
            await hashes.hash("one more")
        nursery.cancel_scope.cancel()
    go.set()
    with trio.fail_after(30):
        assert await hashes.hash("later") == "True"
