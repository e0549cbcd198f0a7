"""Ranks by the API that Cohere, Jina, Voyage and vLLM have, for other ones and from them.

docs.cohere.com/reference/rerank, jina.ai/reranker, docs.voyageai.com/reference/reranker-api.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ....errors import InvalidRequest
from ...records.usage import Usage
from ..base import DialectRequest
from ..canonical.fidelity import Fidelity, Untranslatable
from ..canonical.reading import Fields, fields_of, is_text, is_true, items_of, member_text, text_of
from .call import Rank, RankCall
from .request import parse_rerank

_Raw = msgspec.Raw
_ENCODE: Final = msgspec.json.Encoder().encode
_KNOWN: Final = frozenset(
    {
        *("model", "query", "documents", "top_n", "top_k", "return_documents"),
        *("max_tokens_per_doc", "rank_fields"),
    }
)
# Voyage's.
_VOYAGES: Final = ("top_k", "truncation")


class _Ranks(msgspec.Struct):
    results: list[Rank] | None = None
    data: list[Rank] | None = None


_RANKS: Final = msgspec.json.Decoder(_Ranks)


class OpenRanks:
    """See `translation.RankApi`."""

    operation = "rerank"

    def read_call(self, request: DialectRequest, fidelity: Fidelity) -> RankCall:
        fields = fields_of(request.body, "")
        for name in sorted(fields.keys() - _KNOWN):
            # How early it is handled, and what happens to what is too long.
            fidelity.hint(name)
        if "rank_fields" in fields:
            fidelity.demand("rank_fields", "other APIs look at the text of a document")
        return RankCall(
            query=member_text(fields, "query", ""),
            documents=documents_of(fields),
            top=fields.get("top_n", fields.get("top_k")),
            shown=is_true(fields.get("return_documents")),
            holder="data" if any(name in fields for name in _VOYAGES) else "results",
            most_tokens=fields.get("max_tokens_per_doc"),
        )

    def write_call(self, call: RankCall, model: bytes, fidelity: Fidelity) -> DialectRequest:
        body: dict[str, Any] = {"model": _Raw(model), "query": call.query}
        body["documents"] = call.documents
        if call.top is not None:
            body["top_n"] = call.top
        if call.most_tokens is not None:
            body["max_tokens_per_doc"] = call.most_tokens
        return parse_rerank(_ENCODE(body))

    def read_ranks(self, body: bytes) -> list[Rank]:
        return ranks_of(body)

    def write_answer(
        self, call: RankCall, ranks: list[Rank], model: bytes, usage: Usage | None
    ) -> bytes:
        found: dict[str, Any] = {"id": "gateway", "object": "list", "model": _Raw(model)}
        found[call.holder] = [_written(call, each) for each in ranks]
        meta: dict[str, Any] = {"api_version": {"version": "2"}}
        if usage is not None and usage.search_units and not usage.partial:
            meta["billed_units"] = {"search_units": usage.search_units}
        if usage is not None and usage.input_tokens:
            found["usage"] = {"total_tokens": usage.input_tokens}
        return _ENCODE({**found, "meta": meta})


def ranks_of(body: bytes) -> list[Rank]:
    """Return the ranks of an answer under either name. Raises ValueError."""
    found = _RANKS.decode(body)
    ranks = found.results if found.results is not None else found.data
    if ranks is None:
        raise ValueError("they are not there")
    return ranks


def documents_of(fields: Fields) -> list[str]:
    """Return the texts of documents. Raises InvalidRequest (400) and Untranslatable."""
    found = []
    for number, raw in enumerate(items_of(fields.get("documents", _Raw(b"[]")), "documents")):
        path = f"documents.{number}"
        if is_text(raw):
            found.append(text_of(raw, path))
            continue
        document = fields_of(raw, path)
        if "text" not in document:
            raise Untranslatable(path, "other APIs rank texts")
        found.append(member_text(document, "text", path))
    if not found:
        raise InvalidRequest("documents must not be empty", param="documents")
    return found


def _written(call: RankCall, rank: Rank) -> dict[str, Any]:
    found: dict[str, Any] = {"index": rank.index, "relevance_score": rank.relevance_score}
    if call.shown:
        text = call.documents[rank.index]
        found["document"] = text if call.holder == "data" else {"text": text}
    return found
