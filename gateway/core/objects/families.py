"""The paths of objects that providers keep."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

# Of those the requests name models that the gateway does not read, in files and lists.
_NAMES_MODELS: Final = frozenset({"batches", "messages/batches", "fine_tuning/jobs"})
_BATCHES: Final = frozenset({"batches", "messages/batches"})
_STEERS: Final = frozenset({"/cancel", "/pause", "/resume"})
FAMILIES: Final = (
    *("files", "uploads", "batches", "messages/batches", "fine_tuning/jobs", "vector_stores"),
    *("containers", "skills"),
)
_PATH: Final = re.compile(
    rf"(?:/v1){{0,2}}/({'|'.join(FAMILIES)})(?:/([A-Za-z0-9_.:-]{{1,256}})((?:/[A-Za-z0-9_.:-]{{1,256}}){{0,5}}))?/?"
)
METHODS: Final = frozenset({"GET", "POST", "DELETE"})


class ObjectPath(NamedTuple):
    """`id` is "" where all objects of a family are meant, `rest` what follows it in the path."""

    family: str
    id: str = ""
    rest: str = ""

    @property
    def names_models(self) -> bool:
        return self.family in _NAMES_MODELS

    @property
    def makes_nothing(self) -> bool:
        """Say whether a POST there is free: files, and what only steers a thing that is there."""
        return self.family in ("files", "uploads") or self.rest in _STEERS

    @property
    def is_batch(self) -> bool:
        return self.family in _BATCHES and bool(self.id) and not self.rest

    @property
    def is_result(self) -> bool:
        """Say whether it is the results of a batch."""
        return self.family in _BATCHES and self.rest == "/results"

    @property
    def is_result_file(self) -> bool:
        """Say whether it may be: it is the content of a file."""
        return self.family == "files" and self.rest == "/content"

    @property
    def is_content(self) -> bool:
        """Say whether it is content of a caller's, and no object."""
        return self.rest.endswith("/content") or self.is_result

    @property
    def text(self) -> str:
        """Return the path below the version."""
        return f"/{self.family}" + (f"/{self.id}{self.rest}" if self.id else "")


def object_path(path: str) -> ObjectPath | None:
    """Return what `path` means; None if it is of no objects."""
    found = _PATH.fullmatch(path)
    if found is None or any(each in (".", "..") for each in path.split("/")):
        return None
    return ObjectPath(found[1], found[2] or "", found[3] or "")
