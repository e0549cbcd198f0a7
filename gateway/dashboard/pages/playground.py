"""Try a model: the page's script calls the public API, as any client does, and shows what comes.

The page itself sends nothing to a model, and no key that is pasted into it reaches this module.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from starlette.responses import Response

from ...admin.rights import Right
from ...core.capture.transcript import Transcript
from ...core.dialects.offered import OFFERED
from ...errors import PermissionDenied
from ..asking.captured import rows_of, transcript_of
from ..asking.model_choices import MOST, api_of, model_choices, strategy_of
from ..asking.sendable import is_whole, sendable_headers
from ..page_request import PageRequest
from ..views.explanations import ENDS
from ..views.key_names import key_names
from ..views.timeline import timeline


async def playground(request: PageRequest) -> Response:
    """Show the form; with `replay`, the id of a captured request, filled with that."""
    request.admin.only("model", "replay", "n")
    snapshot = request.resources.snapshot()
    replayed = request.admin.text("replay", "")
    return await request.page(
        "playground.html",
        active="playground",
        models=model_choices(islice(snapshot.models, MOST)),
        apis=[(name, label, dialect.path) for name, label, dialect in OFFERED],
        model=request.admin.text("model", ""),
        open=snapshot.open,
        # The policy of the pages lets their script call no other address than their own.
        elsewhere=request.base if request.site.config().admin.bind else None,
        # A grant is kept in the database; where there are no keys none is needed.
        may_grant=request.may_operate and request.database is not None and not snapshot.open,
        names=key_names(snapshot),
        replay=await _replay(request, replayed) if replayed else None,
        wanted=replayed,
    )


async def trail(request: PageRequest) -> Response:
    """Answer with what is on record of a request that was just made, as a part of the page."""
    request.admin.only()
    row = (await rows_of(request, request.admin.argument))[0]
    steps = timeline(row, strategy_of(request.site.config().models, row["model"]))
    return await request.page("parts/trail.html", row=row, steps=steps, ends=ENDS)


async def _replay(request: PageRequest, request_id: str) -> dict[str, Any] | None:
    """Return what the script needs to send a captured request again; None if it was not kept."""
    if request.visitor is None or not request.visitor.may(Right.CONTENT):
        raise PermissionDenied("to send a captured request again needs the right 'content'")
    found = await rows_of(request, request_id)
    row = found[min(request.admin.number("n", 0), len(found) - 1)]
    transcript = await transcript_of(request, row)
    return None if transcript is None else _sendable(transcript)


def _sendable(transcript: Transcript) -> dict[str, Any] | None:
    line = transcript.request
    if not is_whole(line) or api_of(line.target) is None:
        return None
    return {
        "id": line.id,
        "target": line.target,
        "headers": sendable_headers(line),
        "body": line.body.text,
        "redacted": line.redacted,
    }
