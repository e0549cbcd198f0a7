"""What a process tells the others of its gateway, for them to judge by themselves.

Times are seconds from now on: clocks differ.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class KeyNews(msgspec.Struct, frozen=True, tag="key"):
    """A key of a provider, known by its id, is to be left alone for so many `seconds`.

    With a `deployment`, by its state key, only there. `refused` is what the provider said; None:
    it only limits the key. No seconds: the provider takes it again.
    """

    provider: str
    key: str
    seconds: float
    deployment: str | None = None
    refused: str | None = None


class BreakerNews(msgspec.Struct, frozen=True, tag="breaker"):
    """The breaker of a deployment, by its state key, has opened; or it is closed again."""

    deployment: str
    open: bool


class OrderNews(msgspec.Struct, frozen=True, tag="orders"):
    """An operator has ordered or changed something: the database says what."""


class ReloadNews(msgspec.Struct, frozen=True, tag="reload"):
    """An administrator has reloaded a process: the others are to read their configuration too."""


News: TypeAlias = KeyNews | BreakerNews | OrderNews | ReloadNews


class Announcement(msgspec.Struct, frozen=True, array_like=True):
    """`news` of the process `sender`."""

    sender: str
    news: News
