"""Where providers keep objects, in both kinds of database."""

from __future__ import annotations

from gateway.core.objects.kept import KeptObject, ObjectsInMemory
from gateway.store.engine.database import Database
from gateway.store.kept import objects

NOW = 1_800_000_000.0
MINE = KeptObject("file-1", "alice", "openai", "k1")
THEIRS = KeptObject("file-2", "bob", "openai", "")


def test_the_first_owner_stays(database: Database) -> None:
    database.write_now(lambda c: objects.keep(c, [MINE, THEIRS], NOW))
    stolen = KeptObject("file-1", "bob", "p", "k2")
    database.write_now(lambda c: objects.keep(c, [stolen, stolen], NOW))
    found = database.read_now(lambda c: objects.find(c, ["file-1", "file-2", "file-3"]))
    assert sorted(found, key=lambda each: each.id) == [MINE, THEIRS]
    database.write_now(lambda c: objects.forget(c, "file-1"))
    assert database.read_now(lambda c: objects.find(c, ["file-1"])) == []
    assert database.read_now(lambda c: objects.find(c, [])) == []


def test_a_batch_is_charged_once(database: Database) -> None:
    batch = KeptObject("batch-1", "alice", "openai", "k1")
    file = KeptObject("file-3", "alice", "openai", "k1", "batch-1")
    database.write_now(lambda c: objects.keep(c, [batch, file], NOW))
    assert database.read_now(lambda c: objects.find(c, ["file-3"])) == [file]
    claims = [database.write_now(lambda c: objects.claim(c, "batch-1", NOW)) for _ in range(3)]
    assert claims == [True, False, False]
    assert not database.write_now(lambda c: objects.claim(c, "batch-2", NOW))
    database.write_now(lambda c: objects.keep(c, [batch], NOW))
    assert not database.write_now(lambda c: objects.claim(c, "batch-1", NOW))


async def test_without_a_database_a_batch_is_charged_once() -> None:
    keeper = ObjectsInMemory(2)
    assert not await keeper.claim("batch-1")
    await keeper.keep([KeptObject("batch-1", "alice", "p", "")])
    assert [await keeper.claim("batch-1") for _ in range(2)] == [True, False]
    # What is not remembered any more takes no memory.
    await keeper.keep([KeptObject(f"file-{number}", "alice", "p", "") for number in range(2)])
    assert not keeper._charged


async def test_without_a_database_the_the_latest_are_known() -> None:
    keeper = ObjectsInMemory(2)
    for number in range(3):
        await keeper.keep([KeptObject(f"file-{number}", "alice", "p", "")])
    await keeper.keep([KeptObject("file-2", "bob", "p", "")])
    found = await keeper.find([f"file-{number}" for number in range(4)])
    assert [(each.id, each.owner) for each in found] == [("file-1", "alice"), ("file-2", "alice")]
    await keeper.forget("file-1")
    assert await keeper.find(["file-1"]) == []
