"""How this gateway was installed, and so how an extra is added to it.

An extra is never asked of a package index under the gateway's own name unless the gateway came from
there: the name may be another's on that index. Every other way names the packages themselves.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

DISTRIBUTION: Final = "trio-gateway"

# Set in our image (deploy/Containerfile); what others' images have, where they have it.
IN_CONTAINER: Final = "GATEWAY_CONTAINER"
_MARKS: Final = (Path("/.dockerenv"), Path("/run/.containerenv"))
# The end of a requirement of an extra in the metadata (PEP 508).
_OF_EXTRA: Final = re.compile(r"""\s*;\s*extra\s*==\s*['"]([^'"]+)['"]\s*$""")


def how_to_add(extra: str) -> str:
    """Return what to do to add `extra` to this installation, such as a command to run."""
    return Installation().how_to_add(extra)


class Installation:
    """An installation: the metadata of `found`, None if there is none, and its interpreter."""

    def __init__(
        self,
        found: Distribution | None = None,
        *,
        python: str = sys.executable,
        prefix: Path | None = None,
        environ: Mapping[str, str] = os.environ,
        has_pip: Callable[[], bool] = lambda: find_spec("pip") is not None,
        container: bool | None = None,
    ) -> None:
        self._found = found or _own()
        self._python = python
        self._prefix = prefix or Path(sys.prefix)
        self._has_pip = has_pip
        if container is None:
            container = IN_CONTAINER in environ or any(each.exists() for each in _MARKS)
        self._container = container

    def how_to_add(self, extra: str) -> str:
        """Return what to do; a command in it can be pasted as it is."""
        source, listed = self._source(), self._packages(extra)
        if not listed:
            return f"install what pyproject.toml lists as the extra {extra}"
        if self._container and not source.editable:
            return f"put `RUN {self._pip(listed)}` into an image that begins FROM this one"
        if (self._prefix / "pipx_metadata.json").exists():
            return f"run `pipx inject {DISTRIBUTION} {listed}`"
        if source.editable:
            # What builds the package is installed already (`requirements/run.txt`).
            what = f"--no-build-isolation --editable {shlex.quote(f'{source.path}[{extra}]')}"
        elif source.path is not None:
            what = shlex.quote(f"{source.path}[{extra}]")
        elif source.from_index and self._found is not None:
            what = shlex.quote(f"{DISTRIBUTION}[{extra}]=={self._found.version}")
        else:
            what = listed
        return f"run `{self._pip(what)}`"

    def _pip(self, what: str) -> str:
        if not self._has_pip() and shutil.which("uv"):
            return f"uv pip install --python {shlex.quote(self._python)} {what}"
        return f"{shlex.quote(self._python)} -m pip install {what}"

    def _packages(self, extra: str) -> str:
        """Return the requirements of `extra`, as the installed metadata has them."""
        listed = (self._found.requires if self._found else None) or ()
        found = [
            _OF_EXTRA.sub("", each)
            for each in listed
            if (match := _OF_EXTRA.search(each)) is not None and match[1] == extra
        ]
        return shlex.join(found)

    def _source(self) -> _Source:
        if self._found is None:
            return _Source()
        text = self._found.read_text("direct_url.json")
        if text is None:
            # Only what came from an index has none (PEP 610).
            return _Source(from_index=True)
        try:
            said: Any = json.loads(text)
            url, editable = urlsplit(said["url"]), said.get("dir_info", {}).get("editable", False)
        except (ValueError, KeyError, TypeError, AttributeError):
            return _Source()
        path = Path(unquote(url.path))
        if url.scheme != "file" or not path.exists():
            return _Source()
        return _Source(path, editable=bool(editable))


class _Source:
    """Where an installation came from; `path` is a folder or a wheel that is still there."""

    def __init__(
        self, path: Path | None = None, *, editable: bool = False, from_index: bool = False
    ) -> None:
        self.path = path
        self.editable = editable
        self.from_index = from_index


def _own() -> Distribution | None:
    try:
        return distribution(DISTRIBUTION)
    except PackageNotFoundError:
        # Run from its sources without being installed.
        return None
