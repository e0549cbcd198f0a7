"""How many tokens a prompt has, where no provider says it: by a tokenizer, or by its length."""

from __future__ import annotations

from typing import Final

from ...config.snapshot import ServedModel
from ...core.dialects.base import DialectRequest
from ...core.dialects.counting.prompt import prompt_of
from ...core.limits.estimate import estimate_tokens
from ...core.records.record import EndReason
from ...providers.facts.encodings import encoding_of
from ..exchange import Exchange
from .off_loop import beside

ESTIMATED: Final = (b"x-gateway-estimate", b"true")


async def estimate(exchange: Exchange, request: DialectRequest, model: ServedModel) -> None:
    """Answer with about how many tokens a prompt has, where no provider says it."""
    dialect, record = exchange.dialect, exchange.record
    exchange.settlement.costs_nothing(cached=False, operation="count_tokens")
    tokens = await _counted(exchange, request, model)
    record.counted_by = "estimated" if tokens is None else "tokenizer"
    if tokens is None:
        tokens = estimate_tokens(request.body, 0)
    body = dialect.token_count(tokens)
    await exchange.client.reply(200, (*dialect.answer_headers, ESTIMATED), body)
    exchange.settlement.end(EndReason.COMPLETE)


async def _counted(exchange: Exchange, request: DialectRequest, model: ServedModel) -> int | None:
    """Return what a tokenizer counts; None if there is none, or none that can read this."""
    counter = exchange.services.tokens
    if counter is None or not model.deployments:
        return None
    size = len(request.body)
    prompt = await beside(exchange, size, lambda: prompt_of(request, exchange.dialect))
    if prompt is None:
        return None
    encoding = encoding_of(model.deployments[0].model)
    counted = await counter.count(encoding.name, prompt.texts)
    return None if counted is None else prompt.tokens(counted, encoding)
