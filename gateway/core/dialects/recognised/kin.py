"""What the dialects of one API have in common, for operations that the gateway does not read."""

from __future__ import annotations

from ..base import Dialect


def family(dialect: Dialect) -> str:
    """Return whose API a dialect is of: the first word of its name."""
    return dialect.name.partition("_")[0]


def are_kin(one: Dialect, other: Dialect) -> bool:
    """Say whether both are of one API."""
    return family(one) == family(other)


def below(dialect: Dialect, base: bytes, path: bytes) -> bytes:
    """Return the target for `path`, without a version, at a provider that speaks `dialect`.

    The version is part of a base URL of OpenAI's, and none of Anthropic's.
    """
    versioned = dialect.target(b"", "", stream=False).startswith(b"/v1/")
    return base + (b"/v1" if versioned else b"") + path


def cursor(dialect: Dialect) -> str:
    """Return the parameter that asks for the page behind an object."""
    return "after_id" if family(dialect) == "anthropic" else "after"
