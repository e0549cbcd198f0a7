"""The application's log: structlog to stderr, JSON for machines and colours for a terminal.

Python's own logging, which Hypercorn and the supervisor use, ends in the same place.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal

import msgspec
import structlog

from ..core.log_context import request_id

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "json", "console"]


def _with_request(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Any:
    """Add the id of the request in whose task something is logged."""
    identity = request_id.get()
    if identity is not None:
        event.setdefault("request_id", identity)
    return event


_SHARED: Final[list[Any]] = [
    structlog.contextvars.merge_contextvars,
    _with_request,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def set_up_logging(level: Level = "info", style: Format = "auto") -> None:
    """Set up both loggers of this process; a second call replaces the first."""
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    rendered: list[Any] = (
        # The default shows the local variables of every frame: keys and prompts.
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_dumps)]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        )
    )
    handler.addFilter(_is_ours)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Alembic logs a line for each of its plug-ins. What it does to a database, store/ logs.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # httpx logs a line for each request: every health check would be one.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _is_ours(record: logging.LogRecord) -> bool:
    # Hypercorn's command line gives its logger a handler of its own, some time after the app has
    # set up logging, and lets it propagate as well: every line would come twice.
    return record.name != "hypercorn.error" or not logging.getLogger(record.name).handlers


def _dumps(value: Any, **_: Any) -> str:
    return msgspec.json.encode(value, enc_hook=repr).decode()
