"""`gateway db prune`: the deletion that a running gateway does by itself, done at once."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ...config import load
from ...config.schema import DebugLog, Retention
from ...config.sources.state import find_state
from ...core.records.audit import ActorKind, AuditAction, AuditResult
from ...errors import ConfigError
from ..audit_entry import by_operator, record_action

if TYPE_CHECKING:
    from ...store.engine.database import Database
    from ...store.retention.sweep import PruneCounts


def prune(file: Path, database: Database, *, vacuum: bool) -> int:
    """Delete what `[retention]` does not keep, and return the status to exit with.

    Raises ConfigError and StoreUnavailable; what was deleted by then is on record.
    """
    from ...store.retention import pruning
    from ...store.retention.sweep import PruneCounts

    # Nothing else of the file is needed, nor the variables of its secrets.
    kept = load.table(file, Retention)
    folder = (find_state(file) or file.absolute().parent) / load.table(file, DebugLog).folder
    now = time.time()
    total = PruneCounts()
    ended = AuditResult.FAILED
    try:
        total.captures, total.capture_bytes = _prune_captures(folder, kept, now)
        who = by_operator(AuditAction.RETENTION, ended, "").actor
        run = pruning.Pruning(kept, now, actor_kind=ActorKind.OPERATOR, actor=who)
        interactive = sys.stderr.isatty()

        def report(so_far: PruneCounts) -> None:
            for name in ("requests", "attempts", "rollups", "audit", "writers"):
                setattr(total, name, getattr(so_far, name))
            if interactive:
                sys.stderr.write(f"\r\x1b[K{_listed(total)}")

        pruning.prune(database, run, report=report)
        if interactive:
            sys.stderr.write("\r\x1b[K")
        if vacuum:
            pruning.vacuum(database)
        ended = AuditResult.OK
    finally:
        if total or ended is AuditResult.FAILED:
            details: dict[str, Any] = msgspec.structs.asdict(total)
            event = by_operator(AuditAction.RETENTION, ended, "all", **details, vacuum=vacuum)
            record_action(file, event)
    sys.stdout.write(f"{database.name}: deleted {_listed(total)}\n")
    return 0


def _prune_captures(folder: Path, kept: Retention, now: float) -> tuple[int, int]:
    from ...captures.files import prune_captures

    try:
        pruned = prune_captures(folder, kept.debug_days, kept.debug_max_bytes, now)
    except OSError as exc:
        raise ConfigError([f"{folder}: cannot be pruned: {exc.strerror}"]) from exc
    return pruned.files, pruned.bytes


def _listed(counts: PruneCounts) -> str:
    return (
        f"{counts.requests} requests, {counts.rollups} roll-ups, {counts.audit} audit entries,"
        f" {counts.captures} debug files"
    )
