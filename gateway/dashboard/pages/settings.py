"""The state of this process, its store and its configuration."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Final

from starlette.responses import Response

from ... import __version__
from ...admin.status import group_state
from ..page_request import PageRequest
from ..views.masked_config import masked_tables, without_login

_LIBRARIES: Final = ("trio", "hypercorn", "msgspec", "sqlalchemy", "starlette", "jinja2")


async def settings(request: PageRequest) -> Response:
    request.admin.only()
    config = request.site.config()
    return await request.page(
        "settings.html",
        active="settings",
        state=await group_state(request.resources),
        tables=masked_tables(config),
        providers={
            name: {
                "kind": each.kind,
                "address": without_login(each.base_url) if each.base_url else "built in",
                "keys": len(each.api_keys) or int(each.api_key is not None or bool(each.oauth)),
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
