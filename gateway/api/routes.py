"""The table of paths: which operation serves each.

A table of exact paths, since a framework's router costs more than the whole rest of the way
to the handler (Starlette: 23 µs against a dictionary's 0.1).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote_to_bytes

from ..errors import MethodNotAllowed, NotFound

_CHAT: Final = "/chat/completions"
_MODELS: Final = "/models"

# Base URLs are given with and without /v1, and some clients add a second one.
_PREFIXES: Final = ("", "/v1", "/v1/v1")

CHAT, MODELS, MODEL, LIVE, READY = "chat", "models", "model", "live", "ready"
METRICS = "metrics"

ADMIN_PREFIX: Final = "/admin/"

_EXACT: Final[dict[str, tuple[str, str]]] = {
    **{prefix + _CHAT: (CHAT, "POST") for prefix in _PREFIXES},
    **{prefix + _MODELS: (MODELS, "GET") for prefix in _PREFIXES},
    "/health/live": (LIVE, "GET"),
    "/health/ready": (READY, "GET"),
    "/metrics": (METRICS, "GET"),
}
_MODEL_PREFIXES: Final = tuple(prefix + _MODELS + "/" for prefix in _PREFIXES)


def match(method: str, path: str) -> tuple[str, str]:
    """Return the route's name and its argument, the rest of the path.

    `path` is percent-decoded. Raises NotFound (404) and MethodNotAllowed (405).
    """
    found = _EXACT.get(path)
    argument = ""
    if found is None:
        for prefix in _MODEL_PREFIXES:
            if path.startswith(prefix) and len(path) > len(prefix):
                # Model names hold slashes: openai/gpt-4o.
                found, argument = (MODEL, "GET"), path[len(prefix) :]
                break
    if found is None and path.endswith("/") and path != "/":
        return match(method, path.rstrip("/") or "/")
    if found is None:
        raise NotFound(
            f"there is nothing at {method} {path}; the API is at /v1/chat/completions and "
            "/v1/models, so a client's base URL ends in /v1"
        )
    name, allowed = found
    if method != allowed and not (method == "HEAD" and allowed == "GET"):
        allow = "GET, HEAD" if allowed == "GET" else allowed
        raise MethodNotAllowed(f"{path} takes {allow}, not {method}", allow=allow)
    return name, argument


def decoded(raw_path: bytes) -> str:
    """Return a raw path as text; bytes that are no UTF-8 cannot match anything."""
    return unquote_to_bytes(raw_path).decode("utf-8", "replace")
