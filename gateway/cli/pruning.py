"""`gateway db prune`: what the running gateway does by itself from time to time, now."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ..config import load
from ..config.schema import DebugLog, Retention
from ..core.audit import Action, ActorKind, Result
from ..errors import ConfigError
from .auditing import by_operator, record_action

if TYPE_CHECKING:
    from ..store.database import Database
    from ..store.sweep import Counts


def prune(file: Path, database: Database, *, vacuum: bool) -> int:
    """Delete what `[retention]` does not keep, and return the status to exit with.

    Raises ConfigError and StoreUnavailable; what was deleted by then is on record.
    """
    from ..store import retention
    from ..store.sweep import Counts

    # Nothing else of the file is needed, nor the variables of its secrets.
    kept = load.table(file, Retention)
    folder = file.absolute().parent / load.table(file, DebugLog).folder
    now = time.time()
    total = Counts()
    ended = Result.FAILED
    try:
        total.captures, total.capture_bytes = _prune_captures(folder, kept, now)
        who = by_operator(Action.RETENTION, ended, "").actor
        run = retention.Pruning(kept, now, actor_kind=ActorKind.OPERATOR, actor=who)
        told = sys.stderr.isatty()

        def report(so_far: Counts) -> None:
            for name in ("requests", "attempts", "rollups", "audit", "writers"):
                setattr(total, name, getattr(so_far, name))
            if told:
                sys.stderr.write(f"\r\x1b[K{_listed(total)}")

        retention.prune(database, run, report=report)
        if told:
            sys.stderr.write("\r\x1b[K")
        if vacuum:
            retention.vacuum(database)
        ended = Result.OK
    finally:
        if total or ended is Result.FAILED:
            details: dict[str, Any] = msgspec.structs.asdict(total)
            event = by_operator(Action.RETENTION, ended, "all", **details, vacuum=vacuum)
            record_action(file, event)
    sys.stdout.write(f"{database.name}: deleted {_listed(total)}\n")
    return 0


def _prune_captures(folder: Path, kept: Retention, now: float) -> tuple[int, int]:
    from ..store.captures import prune_captures

    try:
        pruned = prune_captures(folder, kept.debug_days, kept.debug_max_bytes, now)
    except OSError as exc:
        raise ConfigError([f"{folder}: cannot be pruned: {exc.strerror}"]) from exc
    return pruned.files, pruned.bytes


def _listed(counts: Counts) -> str:
    return (
        f"{counts.requests} requests, {counts.rollups} roll-ups, {counts.audit} audit entries,"
        f" {counts.captures} debug files"
    )
