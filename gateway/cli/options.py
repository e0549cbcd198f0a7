"""The types of options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

ConfigFile = Annotated[
    Path | None,
    Parameter(
        name=["--config", "-c"],
        help="The configuration file. Default: $GATEWAY_CONFIG, else ./config.toml.",
    ),
]
Flag = Annotated[bool, Parameter(negative="", show_default=False)]
Several = Annotated[tuple[str, ...], Parameter(negative="", show_default=False)]
Window = Literal["day", "week", "month", "total"]
# What a key or a team is limited to.
Rpm = Annotated[int | None, Parameter(help="Requests a minute.")]
Tpm = Annotated[int | None, Parameter(help="Tokens a minute.")]
MaxConcurrent = Annotated[int | None, Parameter(help="Requests at the same time.")]
BudgetUsd = Annotated[
    float | None, Parameter(help="What may be spent in each window, in US dollars.")
]
BudgetWindow = Annotated[Window | None, Parameter(help="The window of the budget. Default: month.")]
Expiry = Annotated[
    str | None,
    Parameter(
        help="A time such as 2027-01-01T00:00:00Z, or a while from now such as 90d, 12h or 2w."
    ),
]
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
