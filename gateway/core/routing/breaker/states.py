"""The states of a breaker, what leads from one to another, and what attempts are let through as.

    CLOSED --TRIPPED--> OPEN --COOLED--> HALF_OPEN --PROVED--> CLOSED
                         ^ |                 | |
                         | +---RECOVERED-----|-+-------------> CLOSED
                         +------TRIPPED------+

CLOSED     attempts pass. Failures in a row trip it, or a high rate of them in a rolling window.
OPEN       nothing passes for a while, and longer each time in a row.
HALF_OPEN  one attempt at a time passes, as a probe: a provider that recovers must not be met by
           all that waited. Enough good probes close the breaker, a bad one opens it again.

OPEN and HALF_OPEN let some requests through that have no other deployment (`throttle.py`). Few
failures among those close the breaker as well: RECOVERED.
"""

from __future__ import annotations

import enum
from typing import Final


class BreakerState(enum.Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class BreakerEvent(enum.Enum):
    TRIPPED = "tripped"
    COOLED = "cooled"
    PROVED = "proved"
    RECOVERED = "recovered"


TRANSITIONS: Final[dict[BreakerState, dict[BreakerEvent, BreakerState]]] = {
    BreakerState.CLOSED: {BreakerEvent.TRIPPED: BreakerState.OPEN},
    BreakerState.OPEN: {
        BreakerEvent.COOLED: BreakerState.HALF_OPEN,
        BreakerEvent.RECOVERED: BreakerState.CLOSED,
    },
    BreakerState.HALF_OPEN: {
        BreakerEvent.PROVED: BreakerState.CLOSED,
        BreakerEvent.RECOVERED: BreakerState.CLOSED,
        BreakerEvent.TRIPPED: BreakerState.OPEN,
    },
}


class Permit(enum.Enum):
    """What an attempt was let through as; `leave` takes it back.

    THROTTLED is one of the few that pass though the breaker is not closed, since their request
    has no other deployment.
    """

    NORMAL = "normal"
    PROBE = "probe"
    THROTTLED = "throttled"
