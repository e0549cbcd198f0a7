"""The `response` in the events for a caller: what was asked for, and what has come of it.

Its members are those that openai-python's `types/responses/response.py` requires or its clients
read; what the caller has asked for stands in it as it was written.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from ....wire.splice import splice
from ...base import DialectRequest
from ...canonical.reading import Fields
from ..request import OWN, ResponsesRequest

_ENCODE: Final = msgspec.json.Encoder().encode
_FIELDS: Final = msgspec.json.Decoder(Fields)
_TOOLS: Final = msgspec.json.Decoder(list[Fields])
_NULL: Final = b"null"
# By the name of a member: what the API shows where nothing was asked.
_ASKED: Final = {
    "instructions": _NULL,
    "max_output_tokens": _NULL,
    "metadata": b"{}",
    "parallel_tool_calls": b"true",
    "previous_response_id": _NULL,
    "prompt_cache_key": _NULL,
    "reasoning": b'{"effort":null,"summary":null}',
    "safety_identifier": _NULL,
    "temperature": _NULL,
    "text": b'{"format":{"type":"text"}}',
    "tool_choice": b'"auto"',
    "top_p": _NULL,
    "truncation": b'"disabled"',
    "user": _NULL,
}
# What a function in an answer has (`types/responses/function_tool.py`), though a request may not.
_FUNCTION: Final = {"parameters": msgspec.Raw(_NULL), "strict": msgspec.Raw(_NULL)}


class ResponseObject:
    """The object of one answer. `model` is the requested name as JSON, `now` Unix time."""

    def __init__(self, request: DialectRequest, model: bytes, now: float) -> None:
        body, kept = request.body, False
        if isinstance(request, ResponsesRequest):
            body, kept = request.asked or body, request.kept
        self._asked = _asked(body)
        # Whether the gateway keeps it for requests that go on from it.
        self._store = b"true" if kept else b"false"
        self._body = body
        self._model = model
        self._now = now
        self.id = ""
        self._begins = b""

    def begin(self, provider_id: str) -> None:
        """Give it its id, which is made of the answer that the provider calls `provider_id`.

        Such an id may be the same for many answers; what it was asked and when is not.
        """
        digest = hashlib.blake2b(self._body, digest_size=20)
        digest.update(f"{provider_id}\0{self._now!r}".encode("utf-8", "surrogatepass"))
        self.id = OWN + digest.hexdigest()
        self._begins = b'{"id":"%b","object":"response","created_at":%d,"model":%b,%b' % (
            self.id.encode(),
            int(self._now),
            self._model,
            self._asked,
        )

    def written(
        self,
        status: str,
        output: list[bytes] | None = None,
        *,
        usage: bytes = _NULL,
        incomplete: str | None = None,
    ) -> bytes:
        """Return it as it is now, as JSON."""
        details = _NULL if incomplete is None else b'{"reason":"%b"}' % incomplete.encode()
        return (
            b'%b,"store":%b,"background":false,"error":null,"status":"%b",'
            b'"incomplete_details":%b,"output":[%b],"usage":%b}'
        ) % (
            self._begins,
            self._store,
            status.encode(),
            details,
            b",".join(output or ()),
            usage,
        )


def _asked(body: bytes) -> bytes:
    """Return the members that say what was asked for, without the brackets around them."""
    try:
        fields = _FIELDS.decode(body)
    except (msgspec.DecodeError, RecursionError):
        fields = {}
    found: dict[str, Any] = {}
    for name, nothing in _ASKED.items():
        raw = bytes(fields.get(name, _NULL))
        found[name] = msgspec.Raw(nothing if raw == _NULL else raw)
    if bytes(found["text"]).startswith(b"{") and b'"format"' not in bytes(found["text"]):
        found["text"] = msgspec.Raw(
            splice(bytes(found["text"]), put={"format": b'{"type":"text"}'})
        )
    found["tools"] = _tools(fields)
    written = _ENCODE(found)
    if b"\n" in written or b"\r" in written:
        # An event can have several lines of data, but clients written by hand read one.
        written = msgspec.json.format(written, indent=-1)
    return written[1:-1]


def _tools(fields: Fields) -> list[Fields]:
    try:
        tools = _TOOLS.decode(fields.get("tools", b"[]"))
    except (msgspec.DecodeError, RecursionError):
        return []
    return [
        {**_FUNCTION, **each} if bytes(each.get("type", b"")) == b'"function"' else each
        for each in tools
    ]
