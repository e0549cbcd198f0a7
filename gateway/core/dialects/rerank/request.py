"""A request for ranks: read as one for numbers is."""

from __future__ import annotations

from ..base import Answer, DialectRequest, Recipient
from ..openai_numbers.request import NumbersRequest, parse_numbers
from .answer import rewrite_ranks


class RerankRequest(NumbersRequest, frozen=True):
    """A request for ranks."""

    def rewrite_answer(self, recipient: Recipient, name: bytes, body: bytes) -> Answer:
        return rewrite_ranks(body, name)


def parse_rerank(body: bytes) -> DialectRequest:
    """Read a request body. Raises InvalidRequest (400) with what is wrong and where."""
    read = parse_numbers(body, "results")
    return RerankRequest(
        body=read.body,
        members=read.members,
        model=read.model,
        holder=read.holder,
        user=read.user,
    )
