"""The periods that roll-ups are made for, in seconds."""

from __future__ import annotations

from typing import Final

MINUTE, HOUR, DAY = 60, 3600, 86_400
BY_NAME: Final = {"minute": MINUTE, "hour": HOUR, "day": DAY}
