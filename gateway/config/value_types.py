"""What values of the configuration may be, where more than one table has them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Price = Annotated[float, Meta(ge=0)]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
Moment = Annotated[datetime, Meta(tz=True)]
# As long as the records keep it.
TeamName = Annotated[str, Meta(min_length=1, max_length=200)]
# As many and as long as the records keep.
Labels = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=64)], Annotated[str, Meta(max_length=200)]],
    Meta(max_length=16),
]
