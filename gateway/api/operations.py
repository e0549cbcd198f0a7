"""The answers that need no provider: models and health."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from ..config.callers import Caller
from ..config.snapshot import ServedModel, Snapshot
from ..core.dialects.base import Dialect, ModelEntry
from ..core.wire.bounds.nesting import nested_too_deeply
from ..errors import InvalidRequest
from ..lifecycle import Lifecycle
from ..proxy.access import no_such_model, visible
from .client import AsgiClient
from .replies import Reply, json_reply
from .routes import Operation

# Bytes and seconds for a body with one name.
_MOST_NAMED: Final = 64 * 1024
_PATIENCE: Final = 10.0
# Clients ask for features by it: with thinking, schemas and tools.
_OLLAMA: Final = "0.13.0"


class _NamedModel(msgspec.Struct):
    """`name` is what older clients call it."""

    model: str = ""
    name: str = ""


_NAMED: Final = msgspec.json.Decoder(_NamedModel)


def models(dialect: Dialect, snapshot: Snapshot, caller: Caller, query: str) -> Reply:
    """List what `caller` may use, or the page of it that `query` asks for."""
    entries = [_entry(model, snapshot) for model in visible(snapshot, caller)]
    return 200, [*dialect.answer_headers], dialect.model_list(entries, query)


def model(dialect: Dialect, snapshot: Snapshot, caller: Caller, name: str) -> Reply:
    found = snapshot.models.get(name) if caller.may_use(name) else None
    if found is None:
        raise no_such_model(name)
    return 200, [*dialect.answer_headers], dialect.model_entry(_entry(found, snapshot))


async def named(client: AsgiClient) -> str:
    """Return the model that a body names, in which it is asked what the model is.

    Raises InvalidRequest (400), and as `AsgiClient.read_body` does.
    """
    body = await client.read_body(_MOST_NAMED, _PATIENCE)
    if nested_too_deeply(body):
        raise InvalidRequest("the body is nested too deeply", code="invalid_json")
    try:
        found = _NAMED.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise InvalidRequest("the body must be an object that names a model") from exc
    return found.model or found.name


def loaded() -> Reply:
    """Say which models are in memory, for clients of servers that keep some there: none."""
    return 200, *json_reply({"models": []})


def version() -> Reply:
    """Say which version of Ollama's API is served."""
    return 200, *json_reply({"version": _OLLAMA})


def hello() -> Reply:
    """Say that there is a server, to clients that look for one before they have a key."""
    return 200, *json_reply({"message": "hello"})


def live() -> Reply:
    """Say that the process runs: true for as long as it can say so, a drain included."""
    return 200, *json_reply({"status": "ok"})


def ready(lifecycle: Lifecycle) -> Reply:
    """Say whether new requests should be sent here."""
    if lifecycle.taking:
        return 200, *json_reply({"status": "ready"})
    headers, body = json_reply({"status": lifecycle.standing})
    return 503, [*headers, (b"retry-after", b"1")], body


def _entry(found: ServedModel, snapshot: Snapshot) -> ModelEntry:
    return ModelEntry(found.name, snapshot.created, owner=found.deployments[0].provider)


# What is the same for everybody.
SAID: Final[Mapping[Operation, Callable[[], Reply]]] = {
    Operation.HELLO: hello,
    Operation.LIVE: live,
    Operation.VERSION: version,
    Operation.LOADED_MODELS: loaded,
}
