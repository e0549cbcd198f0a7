from __future__ import annotations

import msgspec
import pytest

from gateway.core.records.minimised import Keeping, Minimising
from gateway.core.records.record import AttemptRecord, Record

KEY = "0123456789abcdef"


def record(*, attempts: bool = True) -> Record:
    found = Record(request_id="r", time=1.0, user="ann", client="10.0.0.1", error="400 you said X")
    if attempts:
        found.attempts = [AttemptRecord(provider="p", model="m", error="you said X", cause="c")]
    return found


def test_all_is_kept_unless_something_else_is_said() -> None:
    assert Minimising().keeps_all
    assert Minimising().applied(record()) == record()


@pytest.mark.parametrize("how", ["hash", "drop"])
def test_each_by_itself(how: Keeping) -> None:
    before = record()
    for field, name in (("users", "user"), ("addresses", "client"), ("provider_errors", "error")):
        rules = msgspec.structs.replace(Minimising(hash_key=KEY), **{field: how})
        assert not rules.keeps_all
        assert rules.hashes == (how == "hash")
        kept = rules.applied(before)
        changed = {
            each
            for each in Record.__struct_fields__
            if getattr(kept, each) != getattr(before, each)
        }
        assert changed == ({name, "attempts"} if name == "error" else {name})
        text = getattr(kept, name)
        assert text is None if how == "drop" else text.startswith("hash:") and len(text) == 21
        if name == "error":
            assert b"you said" not in msgspec.json.encode(kept)
            assert kept.attempts[0].cause == "c"
    # What was settled is as it was.
    assert before == record()


def test_hashes_tell_equal_from_different_and_need_the_key() -> None:
    rules = Minimising("hash", "hash", "hash", KEY)
    one, two = rules.applied(record()), rules.applied(record())
    assert one == two
    assert rules.user("ann") == one.user != rules.user("bob")
    assert Minimising("hash", hash_key=KEY + "x").user("ann") != one.user
    assert rules.user("\ud800") is not None
    assert rules.applied(Record(request_id="r", time=1.0)).user is None


def test_the_gateway_s_own_words_stay() -> None:
    rules = Minimising("drop", "drop", "drop")
    assert rules.applied(record(attempts=False)).error == "400 you said X"
