"""Every operation on objects by the official SDK: that each reaches the provider, and comes back.

The provider makes up whatever it is asked for: what the SDK sends and reads is what is tried.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any, Final

import pytest
import trio

from gateway.core.records.record import EndReason
from tests.late import openai

from ..http_client import sdk_client
from .harness import config, in_process
from .streaming_provider import Visit, providing

pytestmark = pytest.mark.slow

TOKENS: Final = '[[tokens]]\nname = "alice"\nkey = "sk-alice-key"\n'
ALICE: Final = "sk-alice-key"
# How the ids begin of what is made at a path, and what it is called.
KINDS: Final = {
    "files": ("file-", "file"),
    "uploads": ("upload_", "upload"),
    "parts": ("part_", "upload.part"),
    "batches": ("batch_", "batch"),
    "jobs": ("ftjob-", "fine_tuning.job"),
    "vector_stores": ("vs_", "vector_store"),
    "file_batches": ("vsfb_", "vector_store.file_batch"),
    "containers": ("cntr_", "container"),
    "skills": ("skill_", "skill"),
    "versions": ("skillver_", "skill.version"),
}
# What can follow the id of an object without being the id of another.
VERBS: Final = {
    *("cancel", "complete", "pause", "resume", "search", "content", "events", "checkpoints"),
}
CONTENT: Final = b"what is in the file"


class Objects:
    """An account that has whatever it made, and lists of it."""

    def __init__(self) -> None:
        self._numbers = itertools.count(100_000)
        self.asked: list[str] = []

    async def __call__(self, visit: Visit) -> None:
        body = await visit.read()
        path = visit.target.partition("?")[0].removeprefix("/v1/")
        self.asked.append(f"{visit.method} {path}")
        parts = path.split("/")
        if parts[-1] == "content" and parts[0] in ("files", "containers", "skills"):
            await visit.reply(200, CONTENT, content_type="application/octet-stream")
            return
        await visit.reply(200, json.dumps(self._answer(visit.method, parts, body)).encode())

    def _answer(self, method: str, parts: list[str], body: bytes) -> dict[str, Any]:
        last = parts[-1]
        if last == "moderations":
            return {"id": "modr-1", "model": "real-model", "results": []}
        family = last if last in KINDS else parts[-3 if last in VERBS else -2]
        begins, kind = KINDS.get(family, ("x_", "thing"))
        if method == "GET" and last in (*KINDS, "events", "checkpoints"):
            return {"object": "list", "data": [], "has_more": False}
        if last in ("search", "content"):
            return {"object": "list", "data": [], "has_more": False, "search_query": ["x"]}
        made = last in KINDS
        id = f"{begins}{next(self._numbers)}" if made else parts[-2 if last in VERBS else -1]
        if made and family == "files" and body.startswith(b"{"):
            # Of a vector store or a container, whose files are files.
            id = json.loads(body).get("file_id", id)
        deleted = {"deleted": True} if method == "DELETE" else {}
        return {"id": id, "object": kind, "created_at": 1, "status": "completed", **deleted}


def _files(client: openai.OpenAI) -> str:
    made = client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
    assert client.files.retrieve(made.id).id == made.id
    assert client.files.content(made.id).read() == CONTENT
    client.files.list(limit=5)
    upload = client.uploads.create(bytes=3, filename="a", mime_type="text/plain", purpose="batch")
    part = client.uploads.parts.create(upload.id, data=b"abc")
    client.uploads.complete(upload.id, part_ids=[part.id])
    client.uploads.cancel(upload.id)
    return made.id


def _batches(client: openai.OpenAI, file: str) -> None:
    batch = client.batches.create(
        input_file_id=file, endpoint="/v1/chat/completions", completion_window="24h"
    )
    assert client.batches.retrieve(batch.id).id == batch.id
    client.batches.list()
    client.batches.cancel(batch.id)


def _fine_tuning(client: openai.OpenAI, file: str) -> None:
    jobs = client.fine_tuning.jobs
    job = jobs.create(model="gpt-4o-mini", training_file=file)
    jobs.retrieve(job.id)
    jobs.list()
    jobs.list_events(job.id)
    jobs.checkpoints.list(job.id)
    jobs.pause(job.id)
    jobs.resume(job.id)
    jobs.cancel(job.id)


def _vector_stores(client: openai.OpenAI, file: str) -> None:
    stores = client.vector_stores
    store = stores.create(name="s", file_ids=[file])
    stores.retrieve(store.id)
    stores.update(store.id, name="t")
    stores.list()
    stores.search(store.id, query="x")
    stores.files.create(store.id, file_id=file)
    stores.files.retrieve(file, vector_store_id=store.id)
    stores.files.update(file, vector_store_id=store.id, attributes={"a": "b"})
    stores.files.list(store.id)
    stores.files.content(file, vector_store_id=store.id)
    batch = stores.file_batches.create(store.id, file_ids=[file])
    stores.file_batches.retrieve(batch.id, vector_store_id=store.id)
    stores.file_batches.list_files(batch.id, vector_store_id=store.id)
    stores.file_batches.cancel(batch.id, vector_store_id=store.id)
    stores.files.delete(file, vector_store_id=store.id)
    assert stores.delete(store.id).deleted


def _containers(client: openai.OpenAI, file: str) -> None:
    container = client.containers.create(name="c", file_ids=[file])
    client.containers.retrieve(container.id)
    client.containers.list()
    files = client.containers.files
    inside = files.create(container.id, file=("b.txt", b"abc"))
    files.create(container.id, file_id=file)
    files.retrieve(inside.id, container_id=container.id)
    files.list(container.id)
    assert files.content.retrieve(inside.id, container_id=container.id).read() == CONTENT
    files.delete(inside.id, container_id=container.id)
    client.containers.delete(container.id)


def _skills(client: openai.OpenAI, file: str) -> None:
    skill = client.skills.create(files=[("SKILL.md", b"---\nname: x\n---\n")])
    client.skills.retrieve(skill.id)
    client.skills.update(skill.id, default_version="2")
    client.skills.list()
    client.skills.content.retrieve(skill.id)
    client.skills.versions.create(skill.id, files=[("SKILL.md", b"x")])
    client.skills.versions.list(skill.id)
    client.skills.versions.retrieve("2", skill_id=skill.id)
    client.skills.versions.delete("2", skill_id=skill.id)
    client.skills.delete(skill.id)


def _others(client: openai.OpenAI, file: str) -> None:
    client.moderations.create(model="m", input="x")
    assert [each.id for each in client.models.list()] == ["m"]
    assert client.models.retrieve("m").id == "m"
    assert client.files.delete(file).deleted


WALK: Final[tuple[Callable[[openai.OpenAI, str], None], ...]] = (
    *(_batches, _fine_tuning, _vector_stores, _containers, _skills, _others),
)


async def test_every_operation_on_objects_by_the_sdk() -> None:
    objects = Objects()

    def walk(url: str) -> None:
        with openai.OpenAI(
            base_url=url, http_client=sdk_client(openai), api_key=ALICE, timeout=20, max_retries=0
        ) as client:
            file = _files(client)
            for work in WALK:
                work(client, file)

    async with (
        providing(objects) as provider,
        in_process(config(provider.port, tokens=TOKENS)) as gateway,
    ):
        await trio.to_thread.run_sync(walk, gateway.url)
        await gateway.settled()
    assert {each.end_reason for each in gateway.records} == {EndReason.COMPLETE}
    assert {each.status for each in gateway.records} == {200}
    # The list of models and the look at one are the gateway's own.
    assert len(objects.asked) == len(gateway.records)
    assert {each.operation for each in gateway.records} == {
        *("files", "uploads", "batches", "fine_tuning_jobs", "vector_stores", "containers"),
        *("skills", "moderations"),
    }
