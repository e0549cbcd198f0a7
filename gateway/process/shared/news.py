"""News between the processes of a gateway: what each tells the others, and hears from them.

It goes the way that limits go: through the supervisor, or the server of `[state]`. It only makes
things quicker. Whoever hears nothing finds out for itself, by its own requests or the next look
into the database.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import structlog
import trio

from ...core.news import Announcement, News, OrderNews, ReloadNews
from ...state.announced_health import AnnouncedHealth
from ...state.shared.limits import SharedLimits

_ENCODE = msgspec.json.Encoder().encode
_DECODER = msgspec.json.Decoder(Announcement)

_log = structlog.get_logger(__name__)


class NewsDesk:
    """`health` judges what is heard of keys and breakers, `look` is called where orders changed.

    `reload` is called where another process has been reloaded by an administrator.
    """

    def __init__(self, limits: SharedLimits) -> None:
        self.health: AnnouncedHealth | None = None
        self.look: Callable[[], None] | None = None
        self.reload: Callable[[], None] | None = None
        self._limits = limits
        self._strange = 0
        limits.hear(self.hear)

    def __repr__(self) -> str:
        return f"<NewsDesk of {self._limits!r}>"

    def announce(self, news: News) -> None:
        """Tell the others, in a moment."""
        self._limits.announce(_ENCODE(Announcement(self._limits.name, news)))

    def announce_orders(self) -> None:
        """Tell the others that an operator has changed something."""
        self.announce(OrderNews())

    def announce_reload(self) -> None:
        """Tell the others that an administrator has reloaded this process."""
        self.announce(ReloadNews())

    def hear(self, data: bytes) -> None:
        """Take note of what was told by any process, this one too."""
        try:
            told = _DECODER.decode(data)
        except msgspec.MsgspecError:
            # Of a process of another version. It is said once: there may be one for each attempt.
            self._strange += 1
            if self._strange == 1:
                _log.warning("another process tells what this one does not understand")
            return
        if told.sender == self._limits.name:
            return
        if isinstance(told.news, OrderNews):
            if self.look is not None:
                self.look()
        elif isinstance(told.news, ReloadNews):
            if self.reload is not None:
                self.reload()
        elif self.health is not None:
            self.health.hear(told.news, trio.current_time(), random.random)
