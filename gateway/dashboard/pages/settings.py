"""The state of all processes, their store and their configuration."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Final

from starlette.responses import Response

from ... import __version__
from ...errors import StoreUnavailable
from ...store.engine import migrate
from ..page_request import PageRequest
from ..views.masked_config import masked_tables, without_login

_LIBRARIES: Final = ("trio", "hypercorn", "msgspec", "sqlalchemy", "starlette", "jinja2")


async def settings(request: PageRequest) -> Response:
    request.admin.only()
    config = request.site.config()
    return await request.page(
        "settings.html",
        active="settings",
        state=await request.site.processes.state(),
        database=await _database(request),
        tables=masked_tables(config),
        providers={
            name: {
                "kind": each.kind,
                "address": without_login(each.base_url) if each.base_url else "built in",
                "keys": len(each.api_keys) or int(bool(each.api_key or each.token_source)),
                "limits": [
                    f"{what} {limit}"
                    for what, limit in (("rpm", each.rpm), ("tpm", each.tpm))
                    if limit is not None
                ],
            }
            for name, each in config.providers.items()
        },
        counts={
            "models": len(config.models),
            "keys": len(config.tokens),
            "administrators": len(config.admins),
        },
        versions={
            "Gateway": __version__,
            "Python": platform.python_version(),
            **{name: version(name) for name in _LIBRARIES},
        },
        process=os.getpid(),
    )


async def _database(request: PageRequest) -> dict[str, str] | None:
    """Return what is known of the database; None where nothing is kept."""
    database = request.database
    if database is None:
        return None
    found = {"Database": "SQLite" if database.dialect == "sqlite" else "PostgreSQL"}
    found["Address"] = database.name
    try:
        at = await request.read(migrate.revision)
    except StoreUnavailable:
        return {**found, "Migration": "not known now"}
    newest = "the newest" if at == migrate.HEAD else f"the newest is {migrate.HEAD}"
    return {**found, "Migration": f"{at}, {newest}"}
