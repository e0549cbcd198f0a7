"""Where a request has to go that goes on from what a provider keeps."""

from __future__ import annotations

from ...core.records.shown_name import shortened
from ...errors import InvalidRequest
from ..exchange import Exchange


def home_of(exchange: Exchange, id: str | None) -> str | None:
    """Return the state key of the deployment that keeps `id`, if that is known.

    Raises InvalidRequest, in OpenAI's words, for what is kept for another caller.
    """
    home = None if id is None else exchange.services.homes.find(id)
    if home is None:
        return None
    if home.caller != exchange.caller.digest:
        raise InvalidRequest(
            f"Previous response with id {shortened(id or '')!r} not found.",
            code="previous_response_not_found",
            param="previous_response_id",
        )
    return home.deployment
