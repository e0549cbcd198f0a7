"""What translates Cohere's chats."""

from __future__ import annotations

from ...base import Answer, DialectRequest, ForeignRecipient
from ...canonical.call import CanonicalCall
from ...canonical.fidelity import Fidelity
from ...canonical.translated_stream import EventReader, EventWriter
from ..assembled import assemble
from ..unstreamed import as_stream
from .call_reader import read_call
from .call_writer import write_call
from .documents import ShownSources
from .event_reader import CohereEventReader
from .event_writer import CohereEventWriter
from .message_writer import family_of

# "A list of up to 5 strings" (`v2/raw_client.py`).
_MOST_STOPS = 5


class CohereTranslator:
    """See `canonical.translation.Translator`."""

    functions_only = True
    cites_documents = True

    def family(self, recipient: ForeignRecipient) -> str:
        return family_of(recipient)

    def read_call(self, request: DialectRequest, fidelity: Fidelity) -> CanonicalCall:
        return read_call(request.body, fidelity)

    def write_call(
        self, call: CanonicalCall, recipient: ForeignRecipient, fidelity: Fidelity
    ) -> bytes:
        return write_call(call, recipient, fidelity)

    def takes_stop(self, sequence: str, number: int, recipient: ForeignRecipient) -> bool:
        return bool(sequence) and number < _MOST_STOPS

    def event_reader(self) -> EventReader:
        return CohereEventReader()

    def event_writer(
        self, request: DialectRequest, model: bytes, family: str, now: float, *, whole: bool
    ) -> EventWriter:
        return CohereEventWriter(ShownSources(request.body))

    def as_stream(self, body: bytes) -> bytes:
        return as_stream(body)

    def assemble(self, stream: bytes, model: bytes) -> Answer:
        return assemble(stream)
