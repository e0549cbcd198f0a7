"""One request: what happened to it, what it cost, and what was said if that was kept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import trio
from starlette.responses import Response

from ...admin.rights import Right
from ...captures.search import find_captures
from ...core.capture.transcript import EventLine, Transcript
from ...core.records.client_metadata import REPLAY_OF
from ...core.records.pricing import Prices
from ...errors import NotFound
from ...store.queries import request_log
from ...store.queries.filters import Filter
from ..asking.answer_diff import AnswerDiff, answer_text, diff
from ..asking.captured import conversation_of, rows_of, transcript_of
from ..asking.curl import as_curl
from ..asking.model_choices import strategy_of
from ..page_request import PageRequest
from ..views.explanations import ENDS
from ..views.timeline import timeline

_MOST_EVENTS: Final = 500
_MOST_RAW: Final = 200_000
TABS: Final = ("summary", "messages", "events", "raw", "compare")
# Requests around this one that it is offered to be compared with.
_OFFERED: Final = 20
_NOT_KEPT: Final = "it was not captured, or only just now: captures are written within seconds."
_AROUND: Final = 3600 * 1_000_000


async def one(request: PageRequest) -> Response:
    """Show the request of an id; `n` chooses one of several that had the same."""
    request.admin.only("tab", "n", "with")
    request_id = request.admin.argument
    number = request.admin.number("n", 0)
    found = await rows_of(request, request_id)
    row = found[min(number, len(found) - 1)]
    request.admin.viewed_request(request_id)
    tab = request.admin.text("tab", TABS[0], TABS)
    may_read = request.visitor is not None and request.visitor.may(Right.CONTENT)
    transcript = None
    if may_read and tab != TABS[0]:
        transcript = await transcript_of(request, row)
    return await request.page(
        "request.html",
        active="requests",
        row=row,
        same=len(found),
        number=min(number, len(found) - 1),
        steps=timeline(row, strategy_of(request.site.config().models, row["model"])),
        ends=ENDS,
        prices=_prices(request, row),
        captured=await _is_captured(request, request_id),
        may_read=may_read,
        tab=tab,
        replay_of=(row["metadata"] or {}).get(REPLAY_OF),
        **(await _comparison(request, row, transcript) if tab == "compare" else {}),
        **await _content(transcript, request.base),
    )


async def _is_captured(request: PageRequest, request_id: str) -> bool:
    folder = request.resources.captures
    if folder is None:
        return False

    def look() -> bool:
        return next(iter(find_captures(folder, request_id)), None) is not None

    try:
        return await trio.to_thread.run_sync(look, limiter=request.site.renderers)
    except OSError:
        return False


async def _content(transcript: Transcript | None, base: str) -> dict[str, Any]:
    """Return what the tabs of a captured request show."""
    if transcript is None:
        return {"transcript": None}

    def work() -> dict[str, Any]:
        return {
            "transcript": transcript,
            "conversation": conversation_of(transcript),
            "curl": as_curl(transcript.request, base),
            "events": transcript.events[:_MOST_EVENTS],
            "gaps": _gaps(transcript.events[:_MOST_EVENTS]),
            "most_raw": _MOST_RAW,
        }

    return await trio.to_thread.run_sync(work)


async def _comparison(
    request: PageRequest, row: dict[str, Any], transcript: Transcript | None
) -> dict[str, Any]:
    """Return what the comparison with another request shows, and which others are offered."""
    wanted = request.admin.text("with", "").strip()
    found: dict[str, Any] = {"other": None, "compared": None, "wanted": wanted, "why_not": ""}
    if transcript is None:
        return found | {"offered": []}
    found["offered"] = await _offered(request, row)
    if not wanted:
        return found
    try:
        other = (await rows_of(request, wanted))[0]
        kept = await transcript_of(request, other)
    except NotFound:
        return found | {"why_not": "there is no such request on record yet."}
    if kept is None:
        return found | {"other": other, "why_not": _NOT_KEPT}

    def work() -> AnswerDiff | None:
        one, two = conversation_of(transcript), conversation_of(kept)
        if one is None or two is None or not (one.answers and two.answers):
            return None
        return diff(answer_text(one), answer_text(two))

    compared = await trio.to_thread.run_sync(
        work, abandon_on_cancel=True, limiter=request.site.readers
    )
    why_not = "" if compared else "one of the two has no answer that can be read as text."
    return found | {"other": other, "compared": compared, "why_not": why_not}


async def _offered(request: PageRequest, row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return requests for the same model of the hour before and after, replays of this one first.

    The one that this repeats, if it does, comes before all of them.
    """
    near = Filter(
        since=row["time"] - _AROUND,
        until=row["time"] + _AROUND,
        model=(row["model"],) if row["model"] else (),
    )
    page = await request.read(partial(request_log.page, wanted=near, limit=_OFFERED))
    this = row["request_id"]
    origin = (row["metadata"] or {}).get(REPLAY_OF)

    def rank(each: dict[str, Any]) -> int:
        if each["request_id"] == origin:
            return 0
        return 1 if (each["metadata"] or {}).get(REPLAY_OF) == this else 2

    return sorted((each for each in page.rows if each["request_id"] != this), key=rank)


def _gaps(events: Sequence[EventLine]) -> list[float]:
    """Return the milliseconds since the event before each."""
    times = [each.at_ms for each in events]
    return [at - before for before, at in zip([0.0, *times], times, strict=False)]


def _prices(request: PageRequest, row: dict[str, Any]) -> Prices | None:
    """Return the prices that the route has now, which a reload may have changed since."""
    for model in request.resources.snapshot().models:
        for each in model.deployments:
            if each.provider == row["provider"] and each.model == row["provider_model"]:
                return each.prices
    return None
