"""To the sign-in page, and from there back to where a person wanted to go."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from ...core.admin_path import HERE, outside

SIGN_IN_PAGE: Final = "/admin/sign-in"
HOME: Final = "/admin/"
# What follows the path of the pages, and a query. Browsers take a backslash for a slash, and two of
# them begin a host (WHATWG URL standard, "path start state" and "authority").
_OURS: Final = re.compile(r"(/(?!/)[!-\[\]-~]*)?(\?[!-\[\]-~]*)?")


def to_sign_in(path: str, query: str) -> str:
    """Return where a person is sent who has to sign in first; `path` is one of /admin."""
    back = quote(outside(path) + (f"?{query}" if query else ""), safe="")
    return f"{outside(SIGN_IN_PAGE)}?next={back}"


def back_from_sign_in(target: str) -> str:
    """Return where to go after a sign-in: what `next` said, if that is a page of this gateway."""
    root = outside(HERE)
    is_ours = target.startswith(root) and _OURS.fullmatch(target, len(root))
    return target if is_ours else outside(HOME)
