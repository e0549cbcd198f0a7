"""Data URLs (RFC 2397), by which OpenAI's APIs take images and files."""

from __future__ import annotations


def data_of_url(url: str) -> tuple[str, str | None]:
    """Return the media type and the base64 of a data URL; "" and None for another one."""
    if not url.startswith("data:"):
        return "", None
    head, comma, data = url.removeprefix("data:").partition(",")
    if not comma or not head.endswith(";base64"):
        return "", None
    return head.removesuffix(";base64").partition(";")[0], data
