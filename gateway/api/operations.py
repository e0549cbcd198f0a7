"""The answers that need no provider: models and health."""

from __future__ import annotations

from ..config.callers import Caller
from ..config.snapshot import ServedModel, Snapshot
from ..core.dialects.base import Dialect, ModelEntry
from ..lifecycle import Lifecycle, Phase
from ..proxy.access import no_such_model, visible
from .replies import Reply, json_reply


def models(dialect: Dialect, snapshot: Snapshot, caller: Caller) -> Reply:
    """List what `caller` may use."""
    entries = [_entry(model, snapshot) for model in visible(snapshot, caller)]
    return 200, [*dialect.answer_headers], dialect.model_list(entries)


def model(dialect: Dialect, snapshot: Snapshot, caller: Caller, name: str) -> Reply:
    found = snapshot.models.get(name) if caller.may_use(name) else None
    if found is None:
        raise no_such_model(name)
    return 200, [*dialect.answer_headers], dialect.model_entry(_entry(found, snapshot))


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
