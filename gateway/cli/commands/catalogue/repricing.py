"""`gateway prices reprice`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from ....config import load
from ....config.paths import config_path
from ....config.sources.state import find_state
from ....core.records.audit import AuditAction, AuditResult
from ....errors import ConfigError, GatewayError
from ....providers.facts.current import current_book
from ....providers.facts.pricelist import PriceList
from ...audit_entry import by_operator, record_action
from ...key_work import usage_error
from ...options import ConfigFile, Flag
from ...store import opened
from ..check import failed

_NANO: Final = 10**9


def reprice(*, since: str, until: str, dry_run: Flag = False, config: ConfigFile = None) -> int:
    """Compute what the requests of a time cost again, by the prices of now.

    Roll-ups change with them, and so do budgets. It is written to the audit log.

    Parameters
    ----------
    since
        From when on: a date, or a time such as 2027-01-01T00:00:00Z. Without an offset it is UTC.
    until
        Before when, likewise.
    dry_run
        Only say what would change.
    """
    from ....store.retention.repricing import Repriced, Span
    from ....store.retention.repricing import reprice as compute

    begin, end = _moment(since), _moment(until)
    if begin is None or end is None or begin >= end:
        return usage_error("--since and --until must be times, the one before the other")
    file, found, ended = config or config_path(), Repriced(), AuditResult.FAILED
    try:
        prices = price_list(file)
        with opened(file) as database:
            span = Span(begin, end)
            compute(database, span, lambda _, *key: prices.of(*key), found, dry=dry_run)
        ended = AuditResult.OK
    except (ConfigError, GatewayError) as exc:
        return failed(exc)
    finally:
        if not dry_run:
            details = msgspec.structs.asdict(found) | {"since": since, "until": until}
            record_action(file, by_operator(AuditAction.REPRICED, ended, "requests", **details))
    would = "would change" if dry_run else "changed"
    sys.stdout.write(
        f"{found.requests} requests: {found.changed} {would}, {found.kept} keep what they had;"
        f" {_usd(found.before_nano_usd)} before, {_usd(found.after_nano_usd)} now\n"
    )
    return 0


def price_list(file: Path) -> PriceList:
    """Return the prices of a configuration, which need no secret. Raises ConfigError."""
    found = load.outline(file)
    try:
        book = current_book(find_state(file) or file.absolute().parent)
    except (OSError, ValueError) as exc:
        raise ConfigError([f"models.json: {exc}"]) from exc
    routes = (
        (route.provider, route.model, route.prices)
        for model in found.models
        for route in model.routes
    )
    return PriceList(routes, found.providers, book, found.catalog)


def _moment(text: str) -> int | None:
    """Return a time in microseconds since 1970."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    found = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return round(found.timestamp() * 1_000_000)


def _usd(nano: int) -> str:
    whole, rest = divmod(nano, _NANO)
    return f"${whole}.{rest:09}".rstrip("0").rstrip(".")
