"""Ranks by Cohere's and Amazon's models at Amazon, by InvokeModel.

Agents' own operation for it (`Rerank` of bedrock-agent-runtime) is at another host, wants an ARN,
and takes no Bedrock API key (docs.aws.amazon.com/bedrock, "API keys"): this takes both credentials
and all that the gateway knows to ask.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ....errors import InvalidRequest
from ...records.usage import Usage
from ...wire.member_names import NameTable
from ...wire.splice import splice
from ..base import Answer, DialectRequest, NotAnAnswer, Recipient
from ..bodies.plain_body import TextlessBody
from ..bodies.request_body import members_of_body, string_of
from ..canonical.fidelity import Fidelity
from ..canonical.reading import fields_of, member_text
from ..rerank.call import Rank, RankCall
from ..rerank.ranks import documents_of, ranks_of
from .titan import MODEL, check_unnamed

_Raw = msgspec.Raw
_ENCODE: Final = msgspec.json.Encoder().encode
_NAME: Final = msgspec.json.Decoder(str)
_READ: Final = NameTable((MODEL, "query", "documents"))
_VERSION: Final = "api_version"
_COHERE: Final = b"cohere."
_KNOWN: Final = frozenset({MODEL, "query", "documents", "top_n"})
# aws.amazon.com/bedrock/pricing: a query has up to 100 pieces of documents, and a piece 512 tokens,
# those of the query among them. A longer document is several.
_PIECES: Final = 100
_PIECE: Final = 512


class _Asked(msgspec.Struct):
    query: str = ""
    documents: list[_Raw] = []


_ASKED: Final = msgspec.json.Decoder(_Asked)


class InvokedRanking(TextlessBody, frozen=True):
    """A request in Amazon's form; its model stands in the path."""

    def body_for(self, recipient: Recipient) -> bytes:
        """Return the body to send; the recipient's name of the model stands in its target.

        Cohere's models are told the version of their API: without it a request is one of the first.
        """
        put = {_VERSION: b"2"} if _COHERE in recipient.model_json else {}
        return splice(self.body, put=put, remove=(MODEL,), known=self.members)

    def rewrite_answer(self, recipient: Recipient, name: bytes, body: bytes) -> Answer:
        """Return `body` as it is: it does not name the model. Raises NotAnAnswer."""
        try:
            ranks_of(body)
        except (ValueError, RecursionError) as exc:
            raise NotAnAnswer(f"the answer has no ranks: {exc}") from exc
        return Answer(body, self._usage())

    def _usage(self) -> Usage | None:
        """Return the queries that are billed, which no answer tells.

        They are known where the documents cannot be of more pieces than are in one query more;
        else there are as many at the least.
        """
        try:
            asked = _ASKED.decode(self.body)
        except (msgspec.DecodeError, RecursionError):
            return None
        count = len(asked.documents)
        room = _PIECE - len(asked.query.encode())
        # A token has one byte at the least.
        most = sum(-(-len(bytes(each)) // room) for each in asked.documents) if room > 0 else None
        least = -(-count // _PIECES)
        exact = most is not None and -(-most // _PIECES) == least
        return Usage(search_units=least, partial=not exact)


def parse_invoked(body: bytes, model: str = "") -> DialectRequest:
    """Read a request body. Raises InvalidRequest (400) with what is wrong and where.

    `model` is what its path says; without it, the body does.
    """
    found = members_of_body(body, _READ)
    version = next(
        (body[each.value_start : each.end] for each in found if each.key == _VERSION), b""
    )
    if version not in (b"", b"1", b"2"):
        raise InvalidRequest(f"{_VERSION} must be 1 or 2", param=_VERSION)
    if version:
        # Which one it is makes no difference to texts, and `body_for` says it where it is asked.
        body = splice(body, remove=(_VERSION,), known=found)
        found = members_of_body(body, _READ)
    if model:
        check_unnamed(found)
    else:
        values = {each.key: body[each.value_start : each.end] for each in found}
        model = string_of(values.get(MODEL, b'""'), MODEL)
    if not model:
        raise InvalidRequest("the model must not be empty", param=MODEL)
    return InvokedRanking(body, found, model)


class InvokedRanks:
    """See `rerank.translation.RankApi`."""

    operation = "bedrock_rerank"

    def read_call(self, request: DialectRequest, fidelity: Fidelity) -> RankCall:
        fields = fields_of(request.body, "")
        for name in sorted(fields.keys() - _KNOWN):
            fidelity.hint(name)
        return RankCall(
            query=member_text(fields, "query", ""),
            documents=documents_of(fields),
            top=fields.get("top_n"),
        )

    def write_call(self, call: RankCall, model: bytes, fidelity: Fidelity) -> DialectRequest:
        name = _NAME.decode(model)
        body: dict[str, Any] = {MODEL: name, "query": call.query, "documents": call.documents}
        if call.top is not None:
            body["top_n"] = call.top
        if call.most_tokens is not None and _COHERE in model:
            body["max_tokens_per_doc"] = call.most_tokens
        elif call.most_tokens is not None:
            fidelity.demand("max_tokens_per_doc", "the model has no such option")
        return parse_invoked(_ENCODE(body))

    def read_ranks(self, body: bytes) -> list[Rank]:
        return ranks_of(body)

    def write_answer(
        self, call: RankCall, ranks: list[Rank], model: bytes, usage: Usage | None
    ) -> bytes:
        return _ENCODE({"results": ranks})
