"""The dialects of embeddings and moderations, their parts put together."""

from __future__ import annotations

from typing import Final

from ..base import Dialect, DialectRequest
from ..openai_chat.dialect import OpenAIDialect
from .request import parse_numbers

# What moderations go to if a request names no model
# (platform.openai.com/docs/api-reference/moderations/create).
MODERATION_MODEL: Final = "omni-moderation-latest"


class OpenAIEmbeddings(OpenAIDialect):
    """`POST /v1/embeddings`: texts or tokens in, vectors out."""

    name = "openai_embeddings"
    operation = "embeddings"
    path = "/v1/embeddings"

    def read_request(self, body: bytes) -> DialectRequest:
        return parse_numbers(body, "data")


class OpenAIModerations(OpenAIDialect):
    """`POST /v1/moderations`: texts or images in, flags and scores out."""

    name = "openai_moderations"
    operation = "moderations"
    path = "/v1/moderations"

    def read_request(self, body: bytes) -> DialectRequest:
        return parse_numbers(body, "results", MODERATION_MODEL)


OPENAI_EMBEDDINGS: Final[Dialect] = OpenAIEmbeddings()
OPENAI_MODERATIONS: Final[Dialect] = OpenAIModerations()
