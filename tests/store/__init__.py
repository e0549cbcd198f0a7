"""The store. What tests read and write of it may take as long as a busy machine likes."""

from __future__ import annotations

from typing import Final

from gateway.store.engine.database import TIMEOUT, Database

PATIENCE: Final = 120.0

for _each in (Database.read_now, Database.write_now, Database.autocommit_now):
    assert _each.__defaults__ == (TIMEOUT,)
    _each.__defaults__ = (PATIENCE,)
