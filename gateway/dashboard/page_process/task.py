"""What the process that makes pages is asked for. Everything here can be pickled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

# A page is rendered in milliseconds, off the event loop. So many at a time leave requests for
# models most of the interpreter where threads do it.
RENDERERS: Final = 2


class MakerSettings(NamedTuple):
    """What the process needs to begin: the database's URL, and the folder a file of it is in."""

    url: str | None
    folder: str


class ReadTask(NamedTuple):
    """Return what `work` does on a connection, within so many seconds."""

    work: Callable[[Any], Any]
    seconds: float


class RenderTask(NamedTuple):
    """Return what the templates show of `context`, by the names of their places.

    `admin_path` is the path that the links are below.
    """

    templates: Mapping[str, str]
    context: Mapping[str, Any]
    admin_path: str


class TaskDone(NamedTuple):
    """What came of a task."""

    value: Any
