"""What translates chat completions."""

from __future__ import annotations

from typing import Final

from ...base import Answer, DialectRequest, ForeignRecipient
from ...canonical.call import CanonicalCall
from ...canonical.fidelity import Fidelity
from ...canonical.translated_stream import EventReader, EventWriter
from ..assembled import assemble
from ..request import ChatRequest
from ..unstreamed import as_stream
from .call_reader import read_call
from .call_writer import write_call
from .event_reader import ChatEventReader
from .event_writer import ChatEventWriter
from .message_writer import family_of
from .option_reader import custom_tools

# platform.openai.com/docs/api-reference/chat/create: "Up to 4 sequences".
_MOST_STOPS: Final = 4


class ChatTranslator:
    """See `canonical.translation.Translator`."""

    functions_only = True
    cites_documents = False

    def family(self, recipient: ForeignRecipient) -> str:
        return family_of(recipient)

    def read_call(self, request: DialectRequest, fidelity: Fidelity) -> CanonicalCall:
        return read_call(request.body, fidelity)

    def write_call(
        self, call: CanonicalCall, recipient: ForeignRecipient, fidelity: Fidelity
    ) -> bytes:
        return write_call(call, recipient, fidelity)

    def takes_stop(self, sequence: str, number: int, recipient: ForeignRecipient) -> bool:
        return recipient.terms.stops and number < _MOST_STOPS

    def event_reader(self) -> EventReader:
        return ChatEventReader()

    def event_writer(
        self, request: DialectRequest, model: bytes, family: str, now: float, *, whole: bool
    ) -> EventWriter:
        asked = isinstance(request, ChatRequest) and request.wants_usage
        return ChatEventWriter(
            model,
            family,
            int(now),
            shows_usage=asked,
            whole=whole,
            customs=custom_tools(request.body),
        )

    def as_stream(self, body: bytes) -> bytes:
        return as_stream(body)

    def assemble(self, stream: bytes, model: bytes) -> Answer:
        return assemble(stream, model, 1)
