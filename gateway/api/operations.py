"""The answers that need no provider: models and health."""

from __future__ import annotations

from typing import Any

from ..config.snapshot import Caller, ServedModel, Snapshot
from ..lifecycle import Lifecycle, Phase
from ..proxy.access import no_such_model, visible
from .replies import HeaderList, json_reply

Reply = tuple[int, HeaderList, bytes]


def models(snapshot: Snapshot, caller: Caller) -> Reply:
    """List what `caller` may use; all four members are required by OpenAI's SDK."""
    data = [_entry(model, snapshot) for model in visible(snapshot, caller)]
    return 200, *json_reply({"object": "list", "data": data})


def model(snapshot: Snapshot, caller: Caller, name: str) -> Reply:
    found = snapshot.models.get(name) if caller.may_use(name) else None
    if found is None:
        raise no_such_model(name)
    return 200, *json_reply(_entry(found, snapshot))


def live() -> Reply:
    """Say that the process runs: true for as long as it can say so, a drain included."""
    return 200, *json_reply({"status": "ok"})


def ready(lifecycle: Lifecycle) -> Reply:
    """Say whether new requests should be sent here."""
    if lifecycle.phase is Phase.RUNNING:
        return 200, *json_reply({"status": "ready"})
    headers, body = json_reply({"status": lifecycle.phase.value})
    return 503, [*headers, (b"retry-after", b"1")], body


def _entry(found: ServedModel, snapshot: Snapshot) -> dict[str, Any]:
    owner = found.deployments[0].provider
    return {
        "id": found.name,
        "object": "model",
        "created": snapshot.created,
        "owned_by": owner,
    }
