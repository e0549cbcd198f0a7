"""Under which path people reach the admin API and the dashboard: `[admin] path`.

In the code all of it is under /admin. What goes out to people and their browsers (links, redirects,
cookies) passes through `outside`, what comes in through `inside`.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

HERE: Final = "/admin"
# Of the gateway that answers the request which a task or a thread works on.
current: Final[ContextVar[str]] = ContextVar("admin_path", default=HERE)


def outside(path: str) -> str:
    """Return the path, which is /admin or below it, as people ask for it."""
    root = current.get()
    return path if root == HERE else root + path.removeprefix(HERE)


def inside(path: str, root: str) -> str | None:
    """Return a path that people ask for as it is in the code; None if it is not below `root`."""
    if not is_below(path, root):
        return None
    return HERE + path[len(root) :]


def is_below(path: str, root: str | None) -> bool:
    """Say whether `path` is `root` or below it; of None nothing is."""
    if root is None:
        return False
    return path.startswith(root) and (len(path) == len(root) or path[len(root)] == "/")
