"""A request in Ollama's API: what of it concerns the gateway, and how it goes to a provider."""

from __future__ import annotations

from typing import ClassVar, Final

from ....errors import InvalidRequest
from ...wire.member_names import NameTable
from ..base import Answer, Recipient, StreamRewriter
from ..bodies.plain_body import ChatBody, NeedsReader
from ..bodies.request_body import members_inside, members_of_body, string_of
from .answer import rewrite_answer
from .lines import LineRewriter
from .needs import read_needs

_READ: Final = NameTable(("model", "stream", "options", "messages", "prompt"))
_OPTIONS: Final = NameTable(("num_predict",))
_MOST: Final = 2**31


class OllamaRequest(ChatBody, frozen=True):
    """A chat, or a prompt. `answer_tokens` are those of `options.num_predict`."""

    find_needs: ClassVar[NeedsReader] = staticmethod(read_needs)

    def start_stream(
        self, recipient: Recipient, name: bytes, max_event_bytes: int
    ) -> StreamRewriter:
        return LineRewriter(name, max_event_bytes=max_event_bytes)

    def rewrite_answer(self, recipient: Recipient, name: bytes, body: bytes) -> Answer:
        return rewrite_answer(body, name)


def parse_ollama(body: bytes) -> OllamaRequest:
    """Read a request body. Raises InvalidRequest (400) with what is wrong and where."""
    found = members_of_body(body, _READ)
    values = {each.key: body[each.value_start : each.end] for each in found}
    model = string_of(values.get("model", b'""'), "model")
    if not model:
        raise InvalidRequest("you must provide a model", param="model")
    stream = values.get("stream", b"null")
    if stream not in (b"true", b"false", b"null"):
        raise InvalidRequest("stream must be true or false", param="stream")
    return OllamaRequest(
        body=body,
        members=found,
        model=model,
        stream=stream != b"false",
        answer_tokens=_answer_tokens(values),
    )


def _answer_tokens(values: dict[str, bytes]) -> int:
    """Return how long the answer may become; 0 for as long as it likes, as -1 and -2 say."""
    options = values.get("options", b"null")
    if not options.startswith(b"{"):
        return 0
    most = members_inside(options, "options", _OPTIONS).get("num_predict", b"0")
    try:
        return max(0, min(int(float(most)), _MOST))
    except (ValueError, OverflowError):
        return 0
