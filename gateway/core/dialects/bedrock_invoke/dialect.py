"""The dialects of InvokeModel, their parts put together.

Those of deployments, each by its bodies, and that of a caller's path, whose body says which it is.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from ....errors import InvalidRequest
from ...wire.member_names import NameTable
from ..base import Dialect, DialectRequest, HeaderList
from ..bedrock_converse.dialect import BedrockConverse
from ..bodies.request_body import members_of_body
from ..by_body.body_dialect import AskedByBody, BodyDialect, Headers
from ..cohere.dialect import COHERE_EMBED
from . import cohere, ranks, titan
from .counts import INPUT_TOKENS
from .messages import VERSION, asked_messages, refused

_PATH: Final = re.compile(r"/model/(.+)/invoke(-with-response-stream)?", re.DOTALL)
# By which a body is told.
_READ: Final = NameTable(
    (
        *("model", "modelId", VERSION, "inputText", "inputImage", "textGenerationConfig"),
        *("query", "documents", "texts", "images", "inputs", "input_type"),
    )
)
_SERVED: Final = (
    "InvokeModel takes the bodies of Anthropic's Messages (with anthropic_version), of Titan's"
    " embeddings (inputText), of Cohere's (texts, images or inputs, and input_type), and of rerank"
    " (query and documents); any model that chats is asked by Converse: /model/MODEL/converse"
)


class InvokedDialect(BedrockConverse):
    """What all bodies have in common: Amazon's errors, and the model in the path.

    `model` is what the path of a request says; without it, a request's body does.
    """

    def __init__(self, model: str = "", path: str = "/model/MODEL/invoke") -> None:
        super().__init__(None, path)
        self._model = model

    def __repr__(self) -> str:
        return f"<Dialect {self.name} {self._model!r}>"

    def target(self, base_path: bytes, model: str, *, stream: bool) -> bytes:
        return base_path + b"/model/" + quote(model, safe="").encode("ascii") + b"/invoke"


class TitanEmbed(InvokedDialect):
    """Vectors of Titan's models."""

    name = titan.TitanVectors.operation
    operation = "embeddings"

    def read_request(self, body: bytes) -> DialectRequest:
        return titan.parse_titan(body, self._model)


class InvokedCohereEmbed(InvokedDialect):
    """Vectors of Cohere's models, for callers of Amazon's API."""

    name = cohere.InvokedCohere.operation
    operation = "embeddings"

    def read_request(self, body: bytes) -> DialectRequest:
        return cohere.parse_invoked(body, self._model)


class CohereEmbedAtAmazon(InvokedCohereEmbed):
    """The same for callers of Cohere's API, whose bodies are sent on."""

    name = COHERE_EMBED.name


class InvokedRerank(InvokedDialect):
    """Ranks of Cohere's and of Amazon's models."""

    name = ranks.InvokedRanks.operation
    operation = "rerank"

    def read_request(self, body: bytes) -> DialectRequest:
        return ranks.parse_invoked(body, self._model)


class NumbersAnswer:
    """See `by_body.body_dialect.AnswerEncoding`: the tokens in a header, and no streams."""

    keep_alive = BedrockConverse.keep_alive

    def head(self, headers: Headers) -> HeaderList:
        return [*headers]

    def stream(self, data: bytes) -> bytes:
        return data

    def answer(
        self, status: int, headers: Headers, body: bytes, input_tokens: int | None
    ) -> tuple[HeaderList, bytes]:
        if status >= 400:
            return refused(status, headers, body)
        if not input_tokens:
            return [*headers], body
        return [*headers, (INPUT_TOKENS, b"%d" % input_tokens)], body


class InvokeModel(InvokedDialect, BodyDialect):
    """What a caller's path asks: a model, whole or as a stream."""

    name = "bedrock_invoke"
    operation = "invoke"

    def __init__(self, model: str, path: str, *, stream: bool) -> None:
        super().__init__(model, path)
        self._stream = stream

    def asked(self, body: bytes) -> AskedByBody:
        found = members_of_body(body, _READ)
        names = {each.key for each in found}
        if VERSION in names:
            return asked_messages(body, found, self._model, stream=self._stream)
        dialect: Dialect
        if names & {"inputText", "inputImage"} and "textGenerationConfig" not in names:
            dialect = TitanEmbed(self._model, self.path)
        elif {"query", "documents"} <= names:
            dialect = InvokedRerank(self._model, self.path)
        elif names & {"texts", "images", "inputs"}:
            dialect = InvokedCohereEmbed(self._model, self.path)
        else:
            raise InvalidRequest(_SERVED, code="unsupported_operation")
        if self._stream:
            message = f"{dialect.operation} are not streamed: send this to /model/MODEL/invoke"
            raise InvalidRequest(message, code="unsupported_operation")
        return AskedByBody(dialect, body, NumbersAnswer())


def invoked_by(path: str) -> Dialect | None:
    """Return the dialect of a request to `path`, which is decoded; None if it is none of its."""
    found = _PATH.fullmatch(path)
    return None if found is None else InvokeModel(found[1], path, stream=found[2] is not None)


TITAN_EMBED: Final[Dialect] = TitanEmbed()
INVOKED_COHERE_EMBED: Final[Dialect] = InvokedCohereEmbed()
COHERE_EMBED_AT_AMAZON: Final[Dialect] = CohereEmbedAtAmazon()
INVOKED_RERANK: Final[Dialect] = InvokedRerank()
