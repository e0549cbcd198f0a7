"""The files that pages refer to: scripts, styles, the font, icons.

Each has its content's hash in its address, so a browser may keep it for good, and a new version
of the gateway is asked for its own. They are read once and compressed once.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

import msgspec

from ..core.admin_path import outside

PREFIX: Final = "/admin/static/"
_TYPES: Final = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
    "LICENSE": "text/plain; charset=utf-8",
}
# What is compressed by itself.
_PACKED: Final = {"woff2"}
_HASH: Final = 12
_URL: Final = re.compile(rb'url\("([a-z0-9/.-]+)"\)')


class Asset(msgspec.Struct, frozen=True):
    """`gzipped` is None where it would save nothing."""

    body: bytes
    gzipped: bytes | None
    media_type: str
    etag: str


class Assets:
    """All files, by the address that they are asked for under, below `PREFIX`."""

    def __init__(self, found: Mapping[str, bytes]) -> None:
        self._urls: dict[str, str] = {}
        self._by_path: dict[str, Asset] = {}
        # Styles last: they name other files, by addresses that must be known.
        for name in sorted(found, key=lambda each: each.endswith(".css")):
            body = found[name]
            if name.endswith(".css"):
                body = _URL.sub(self._address, body)
            digest = hashlib.sha256(body).hexdigest()[:_HASH]
            self._urls[name] = f"{PREFIX}{digest}/{name}"
            self._by_path[f"{digest}/{name}"] = _asset(name, body, digest)

    def url(self, name: str) -> str:
        """Return the address of a file by its name, such as `app.js`."""
        return outside(self._urls[name])

    def find(self, path: str) -> Asset | None:
        return self._by_path.get(path)

    def _address(self, match: re.Match[bytes]) -> bytes:
        # Seen from the styles, which are in a folder of their own: so it holds for any `path`.
        found = self._urls[match[1].decode()].removeprefix(PREFIX)
        return b'url("../%b")' % found.encode()


def read_assets() -> Assets:
    """Read the package's files. Slow: for a thread."""
    return Assets(dict(_walk(files(__package__) / "static", "")))


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for each in folder.iterdir():
        name = f"{prefix}{each.name}"
        if each.is_dir():
            found += _walk(each, f"{name}/")
        else:
            found.append((name, each.read_bytes()))
    return found


def _asset(name: str, body: bytes, digest: str) -> Asset:
    ending = name.rpartition(".")[2]
    packed = None if ending in _PACKED else gzip.compress(body, 9, mtime=0)
    kind = _TYPES.get(ending, "application/octet-stream")
    return Asset(body, packed, kind, f'"{digest}"')
