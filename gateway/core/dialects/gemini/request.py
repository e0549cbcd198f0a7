"""A request for content: what of it concerns the gateway, and how it goes to a provider.

Only the members that decide something are read. Everything else is the provider's business and
reaches it to the byte. The model and whether it streams stand in the path (`PathCall`); a request
that is made of one in another dialect has them as members, which are taken out again.
"""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

from ....errors import InvalidRequest
from ...limits.estimate import MOST_TOKENS
from ...wire.member_names import NameTable
from ...wire.splice import InvalidJSON, members, splice
from ..base import Answer, Recipient, StreamRewriter
from ..bodies.plain_body import ChatBody, NeedsReader
from ..bodies.request_body import flag_of, members_of_body, string_of
from ..bodies.token_limits import read_token_limits
from .answer import rewrite_answer
from .needs import read_needs
from .state.foreign_state import without_foreign_state
from .stream import GeminiStreamRewriter

_READ: Final = NameTable(("model", "stream", "contents"))
_CONFIG: Final = ("generationConfig", "generation_config")
_LIMIT: Final = ("maxOutputTokens", "max_output_tokens")
_ANSWERS: Final = ("candidateCount", "candidate_count")
# In the path, and so in no body.
_OF_PATH: Final = ("model", "stream")


class PathCall(msgspec.Struct, frozen=True):
    """What a path says: the model, whether it is to be streamed, and how.

    `array` says that the events are to be the elements of a JSON array, and no SSE.
    """

    model: str
    stream: bool = False
    array: bool = False


class ContentRequest(ChatBody, frozen=True, kw_only=True):
    """What is read of a request. `answer_tokens` are those of all its candidates together."""

    array: bool = False
    find_needs: ClassVar[NeedsReader] = staticmethod(read_needs)
    asks_stream: ClassVar[str] = "streamGenerateContent"

    def body_for(self, recipient: Recipient) -> bytes:
        """Return the body to send; the recipient's name of the model stands in its target."""
        body = splice(self.body, remove=_OF_PATH, known=self.members)
        return without_foreign_state(body)

    def start_stream(
        self, recipient: Recipient, name: bytes, max_event_bytes: int
    ) -> StreamRewriter:
        return GeminiStreamRewriter(
            name, max_event_bytes=max_event_bytes, array=self.array, candidates=self.answers
        )

    def rewrite_answer(self, recipient: Recipient, name: bytes, body: bytes) -> Answer:
        return rewrite_answer(body, name)


def parse_content(body: bytes, asked: PathCall | None = None) -> ContentRequest:
    """Read a request body. Raises InvalidRequest (400) with what is wrong and where.

    `asked` is what its path says; without it, the body does.
    """
    found = members_of_body(body, _READ)
    values = {member.key: body[member.value_start : member.end] for member in found}
    if asked is None:
        if "model" not in values:
            raise InvalidRequest("model is missing", param="model")
        stream = flag_of(values.get("stream"), "stream")
        asked = PathCall(string_of(values["model"], "model"), stream)
    if not asked.model:
        raise InvalidRequest("model must not be empty", param="model")
    limit, answers = _limits(values)
    return ContentRequest(
        body=body,
        members=found,
        model=asked.model,
        stream=asked.stream,
        array=asked.array,
        answer_tokens=min(limit * answers, MOST_TOKENS),
        answers=answers,
    )


def _limits(values: dict[str, bytes]) -> tuple[int, int]:
    """Return how many tokens each answer may have, 0 if that is not said, and how many answers.

    Of several members that mean the same the largest counts: servers differ in which they take.
    """
    limit, answers = 0, 1
    for name in _CONFIG:
        try:
            config = values.get(name, b"")
            inside = members(config) if config.startswith(b"{") else []
        except InvalidJSON:
            # Of another form than the API has: the provider says what is wrong with it.
            continue
        for member in inside:
            raw = config[member.value_start : member.end]
            if member.key in _LIMIT:
                limit = max(limit, read_token_limits({"max_tokens": raw}).max_tokens or 0)
            elif member.key in _ANSWERS:
                answers = max(answers, read_token_limits({"n": raw}).n)
    return limit, answers
