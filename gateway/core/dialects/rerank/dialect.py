"""The dialect of rerank, its parts put together."""

from __future__ import annotations

from typing import Final

from ..base import Dialect, DialectRequest
from ..openai_chat.dialect import OpenAIDialect
from .request import parse_rerank


class Rerank(OpenAIDialect):
    """`POST /v1/rerank`, and `/v2/rerank` as Cohere's SDK has it.

    With `at_root` that is the path, wherever the rest of the API is.
    """

    name = "rerank"
    operation = "rerank"
    path = "/v1/rerank"

    def __init__(self, at_root: str = "") -> None:
        self._at_root: Final = at_root.encode("ascii")

    def target(self, base_path: bytes, model: str, *, stream: bool) -> bytes:
        return self._at_root or super().target(base_path, model, stream=stream)

    def read_request(self, body: bytes) -> DialectRequest:
        return parse_rerank(body)


RERANK: Final[Dialect] = Rerank()
# Of a server whose base URL is that of another API beside.
RERANK_AT_ROOT: Final[Dialect] = Rerank("/v2/rerank")
