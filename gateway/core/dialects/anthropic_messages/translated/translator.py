"""What translates Anthropic's Messages."""

from __future__ import annotations

from ...base import Answer, DialectRequest, ForeignRecipient
from ...canonical.call import CanonicalCall
from ...canonical.fidelity import Fidelity
from ...canonical.translated_stream import EventReader, EventWriter
from ..assembled import assemble
from ..unstreamed import as_stream
from .block_writer import FAMILY
from .call_reader import read_call
from .call_writer import write_call
from .event_reader import MessageEventReader
from .event_writer import MessageEventWriter


class MessageTranslator:
    """See `canonical.translation.Translator`."""

    functions_only = True
    cites_documents = True

    def family(self, recipient: ForeignRecipient) -> str:
        return FAMILY

    def read_call(self, request: DialectRequest, fidelity: Fidelity) -> CanonicalCall:
        return read_call(request.body, fidelity)

    def write_call(
        self, call: CanonicalCall, recipient: ForeignRecipient, fidelity: Fidelity
    ) -> bytes:
        return write_call(call, recipient, fidelity)

    def takes_stop(self, sequence: str, number: int, recipient: ForeignRecipient) -> bool:
        # "stop_sequences: each stop sequence must contain non-whitespace".
        return bool(sequence.strip())

    def event_reader(self) -> EventReader:
        return MessageEventReader()

    def event_writer(
        self, request: DialectRequest, model: bytes, family: str, now: float, *, whole: bool
    ) -> EventWriter:
        return MessageEventWriter(model, family)

    def as_stream(self, body: bytes) -> bytes:
        return as_stream(body)

    def assemble(self, stream: bytes, model: bytes) -> Answer:
        return assemble(stream, model)
