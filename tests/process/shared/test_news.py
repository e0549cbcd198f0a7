from __future__ import annotations

from typing import Any

import msgspec
import trio

from gateway.core.news import Announcement, KeyNews, OrderNews
from gateway.process.shared.news import NewsDesk
from gateway.state.shared.limits import SharedLimits


class NoStore:
    """A place that nobody reaches."""

    lost = False
    hear: Any = None


def desk() -> tuple[NewsDesk, NoStore, list[str]]:
    store, looks = NoStore(), list[str]()
    limits = SharedLimits(store, lambda: 0.5, clock=lambda: 0.0)  # type: ignore[arg-type]
    made = NewsDesk(limits)
    made.look = lambda: looks.append("look")
    return made, store, looks


def told(sender: str, news: KeyNews | OrderNews) -> bytes:
    return msgspec.json.encode(Announcement(sender, news))


async def test_orders_are_looked_at_and_own_news_is_none() -> None:
    made, store, looks = desk()
    store.hear(told("another", OrderNews()))
    store.hear(told(made._limits.name, OrderNews()))
    assert looks == ["look"]


async def test_what_is_not_understood_is_said_once(capfd: Any) -> None:
    _, store, looks = desk()
    for nonsense in (b"", b"x", b"[]", b'["a",{"type":"unheard-of"}]', "\u00e9".encode("latin-1")):
        store.hear(nonsense)
    assert looks == []
    await trio.lowlevel.checkpoint()
    assert capfd.readouterr().out.count("does not understand") == 1
