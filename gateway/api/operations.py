"""The answers that need no provider: models and health."""

from __future__ import annotations

from ..config.callers import Caller
from ..config.snapshot import ServedModel, Snapshot
from ..core.dialects.base import Dialect, ModelEntry
from ..lifecycle import Lifecycle, Phase
from ..proxy.access import no_such_model, visible
from .replies import Reply, json_reply


def models(dialect: Dialect, snapshot: Snapshot, caller: Caller, query: str) -> Reply:
    """List what `caller` may use, or the page of it that `query` asks for."""
    entries = [_entry(model, snapshot) for model in visible(snapshot, caller)]
    return 200, [*dialect.answer_headers], dialect.model_list(entries, query)


def model(dialect: Dialect, snapshot: Snapshot, caller: Caller, name: str) -> Reply:
    found = snapshot.models.get(name) if caller.may_use(name) else None
    if found is None:
        raise no_such_model(name)
    return 200, [*dialect.answer_headers], dialect.model_entry(_entry(found, snapshot))


def hello() -> Reply:
    """Say that there is a server, to clients that look for one before they have a key."""
    return 200, *json_reply({"message": "hello"})


def live() -> Reply:
    """Say that the process runs: true for as long as it can say so, a drain included."""
    return 200, *json_reply({"status": "ok"})


def ready(lifecycle: Lifecycle) -> Reply:
    """Say whether new requests should be sent here."""
    if lifecycle.phase is Phase.RUNNING:
        return 200, *json_reply({"status": "ready"})
    headers, body = json_reply({"status": lifecycle.phase.value})
    return 503, [*headers, (b"retry-after", b"1")], body


def _entry(found: ServedModel, snapshot: Snapshot) -> ModelEntry:
    return ModelEntry(found.name, snapshot.created, owner=found.deployments[0].provider)
