"""The directory in which the workers of one gateway count together.

The environment of the workers names it. `gateway serve --workers` makes a directory and sets the
variable; under Hypercorn's command line the operator has to.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ...private_folder import kept_directory, made_directory

VARIABLE: Final = "GATEWAY_METRICS_DIR"


@contextmanager
def shared_directory(adopted: Path | None = None) -> Iterator[Path]:
    """Make a private directory for workers, and remove it at the end. Raises OSError.

    One that was `adopted` is there already, made by this process when it was another program.
    """
    if adopted is not None:
        with kept_directory(adopted):
            yield adopted
        return
    with made_directory("gateway-metrics-", tempfile.gettempdir()) as folder:
        yield folder


def named_directory(environment: Mapping[str, str]) -> Path | None:
    """Return the directory that the environment names, None if this process counts alone."""
    name = environment.get(VARIABLE)
    return Path(name) if name else None
