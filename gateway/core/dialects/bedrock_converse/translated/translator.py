"""What translates Bedrock's Converse."""

from __future__ import annotations

from typing import Final

from ...base import Answer, DialectRequest, ForeignRecipient
from ...canonical.call import CanonicalCall
from ...canonical.fidelity import Fidelity
from ...canonical.translated_stream import EventReader, EventWriter
from ..answer import as_stream, assemble
from .call_reader import read_call
from .call_writer import write_call
from .event_reader import ConverseEventReader
from .event_writer import ConverseEventWriter
from .model_members import ANTHROPIC

# What other models than Anthropic's on Bedrock make and take.
FAMILY: Final = "bedrock_converse"


class ConverseTranslator:
    """See `canonical.translation.Translator`."""

    functions_only = True
    cites_documents = True

    def family(self, recipient: ForeignRecipient) -> str:
        return ANTHROPIC if b"claude" in recipient.model_json.lower() else FAMILY

    def read_call(self, request: DialectRequest, fidelity: Fidelity) -> CanonicalCall:
        return read_call(request.body, stream=request.stream, fidelity=fidelity)

    def write_call(
        self, call: CanonicalCall, recipient: ForeignRecipient, fidelity: Fidelity
    ) -> bytes:
        return write_call(call, recipient, self.family(recipient), fidelity)

    def event_reader(self) -> EventReader:
        return ConverseEventReader()

    def event_writer(
        self, request: DialectRequest, model: bytes, family: str, now: float, *, whole: bool
    ) -> EventWriter:
        return ConverseEventWriter(family)

    def as_stream(self, body: bytes) -> bytes:
        return as_stream(body)

    def assemble(self, stream: bytes, model: bytes) -> Answer:
        return assemble(stream)
