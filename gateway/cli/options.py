"""The types of options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

ConfigFile = Annotated[Path | None, Parameter(name=["--config", "-c"])]
Flag = Annotated[bool, Parameter(negative="", show_default=False)]
Several = Annotated[tuple[str, ...], Parameter(negative="", show_default=False)]
Window = Literal["day", "week", "month", "total"]
KeyLimit = Literal[
    "rpm",
    "tpm",
    "max_concurrent",
    "budget",
    "expires_at",
    "team",
    "labels",
    "overrides",
    "passthrough",
]
